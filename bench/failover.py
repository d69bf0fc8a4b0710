#!/usr/bin/env python3
"""How long a fail-over lasts for a client of Waypost, without the time that a manager takes to decide on it.

  bench/failover.py [--rounds 50] [--freezes 20] [--json FILE]

Two servers, one Waypost with default settings, clients that write and read all the time. In each round the primary is stopped, or
left running, and the other is told to promote itself; what counts is the time from the return of pg_promote() to the first write
that a client was acknowledged by it; less than nothing if the write came first, since pg_promote() looks every 100 ms. Then the
primary is frozen (SIGSTOP): the time until Waypost says that it is down.
Needs `deploy/install.sh failover` and the release build (or WAYPOST_BINARY).
"""

import argparse
import datetime
import json
import pathlib
import re
import statistics
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "failover"), str(TESTS / "support")]

from repmgr_cluster import RepmgrServers  # noqa: E402
from waypost import Waypost, eventually  # noqa: E402
from workload import SCHEMA, Workload  # noqa: E402

SETTLE_SECONDS = 0.7  # between two events, so that each meets Waypost at rest
DOWN = re.compile(r"^(\S+) warning server_down server=(\w+) ", re.M)


class Pair(RepmgrServers):
    """Two servers whose promotion is done here, when it is to be: no repmgrd."""

    def guard(self, server):
        pass


def promote(servers, old, stop_first):
    """The time at which pg_promote() of the other had returned."""
    new = servers.other(old)
    if stop_first:
        servers.stop(old)
        time.sleep(SETTLE_SECONDS)
    servers.sql("ALTER SYSTEM SET synchronous_standby_names = ''", new)
    servers.sql("SELECT pg_reload_conf()", new)
    with servers.connect(new, timeout=60) as conn:
        assert conn.value("SELECT pg_promote()") == "t"
        return time.monotonic()


def rejoin(servers, old):
    new = servers.other(old)
    servers.stop(old)
    servers.repmgr(new, "primary", "register", "--force")
    servers.start(old)


def failovers(servers, waypost, rounds, stop_first):
    """Of each round: seconds to the first write on the new primary, and how long the old one went on acknowledging."""
    gaps, after = [], []
    for _ in range(rounds):
        old = servers.primaries()[0]
        new = servers.other(old)
        servers.sql(SCHEMA, old, "openfire", "openfire")
        with Workload(waypost.port, writers=4, readers=4, movers=0, newcomers=0) as load:
            time.sleep(SETTLE_SECONDS)
            promoted = promote(servers, old, stop_first)
            ports = [servers.ports[new]]
            eventually(lambda: load.acknowledged("write", promoted - 5, ports), 40, "a write on the new primary")
            time.sleep(SETTLE_SECONDS)
        gaps.append(min(e.ended for e in load.acknowledged("write", promoted - 5, ports)) - promoted)
        late = [e.ended - promoted for e in load.acknowledged("write", promoted, [servers.ports[old]])]
        after.append(max(late, default=0.0))
        assert not load.outcomes().get("read"), load.summary()
        rejoin(servers, old)
    return gaps, after


def freezes(servers, waypost, times):
    """Seconds from SIGSTOP of the primary to the line in which Waypost says that it is down."""
    found = []
    for _ in range(times):
        primary = servers.primaries()[0]
        began, said = datetime.datetime.now(datetime.timezone.utc), len(waypost.log())
        servers.pause(primary)
        try:
            line = eventually(lambda: next((m for m in DOWN.finditer(waypost.log()[said:]) if m[2] == primary), None), 20, "noticed")
        finally:
            servers.resume(primary)
        found.append((datetime.datetime.fromisoformat(line[1].replace("Z", "+00:00")) - began).total_seconds())
        eventually(waypost.ready, 20, "ready again")
        time.sleep(SETTLE_SECONDS)
    return found


def row(name, seconds):
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    figures = {"n": len(ordered), "p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    print(f"{name:52} n {figures['n']:3}   p50 {figures['p50'] * 1000:5.0f} ms   p99 {p99 * 1000:5.0f} ms   max {figures['max'] * 1000:5.0f} ms",
          flush=True)  # fmt: skip
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--freezes", type=int, default=20)
    parser.add_argument("--json")
    wanted = parser.parse_args()
    servers = Pair(synchronous=False)
    result = {}
    try:
        servers.up()
        waypost = Waypost(servers, sections={"routing": {"read_from": "streaming"}})
        try:
            waypost.start()
            gaps, _ = failovers(servers, waypost, wanted.rounds, True)
            result["stopped"] = row("first write after pg_promote(), old one stopped", gaps)
            gaps, after = failovers(servers, waypost, wanted.rounds, False)
            result["running"] = row("first write after pg_promote(), old one running", gaps)
            result["writes to the deposed one"] = row("last write of the deposed one, after pg_promote()", after)
            result["freeze"] = row("SIGSTOP of the primary noticed", freezes(servers, waypost, wanted.freezes))
        finally:
            waypost.close()
    finally:
        servers.down()
    if wanted.json:
        pathlib.Path(wanted.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
