#!/usr/bin/env python3
"""Faults of servers, of the network and of Waypost under a load whose every answer is checked, and the score of each.

  tests/faults/run.py [--faults a,b] [--rounds N] [--list]

Each fault has servers of its own: a primary, two synchronous replicas, Waypost before them; writers, movers of money, readers that
look for everything acknowledged before they asked, and newcomers (tests/failover/workload.py). The columns of the table:

  lost, twice   acknowledged writes that are not there at the end, or more often than told; money that is gone counts as lost
  stale         reads that missed what was acknowledged, or seen by another read, before they began
  deposed       writes acknowledged by a server, or done on it, after another had taken its place
  read, write   clients' errors beyond what the fault allows; those of log-ins count as read
  unsure        writes and transactions that were told 08007 or 40001, as they may be
  gap ms        from the return of pg_promote() to the first write that the new primary acknowledged (below 0: pg_promote() looks
                every 100 ms)
  pause ms      the longest time in which no write was acknowledged

The exit code is 1 if a fault was not survived: something in the first six columns is not 0, or a client hung.
Needs root, `deploy/install.sh test`, and the release build or
WAYPOST_BINARY.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "failover"), str(HERE.parent / "support")]

import waypost as waypost_process  # noqa: E402
from catalogue import CATALOGUE, GONE, TOLD, Scene  # noqa: E402
from three import ThreeServers  # noqa: E402
from workload import SCHEMA, Workload  # noqa: E402

# Waypost looks every 250 ms; what a deposed server acknowledges later than this is Waypost's fault.
DEPOSED_SECONDS = 0.5
COLUMNS = ("lost", "twice", "stale", "deposed", "read", "write", "unsure", "gap", "pause")
MUST_BE_ZERO = COLUMNS[:6]
KINDS_OF_WRONG = {"lost": "lost", "twice": "twice", "done though refused": "twice", "stale": "stale", "backward": "stale",
                  "unbalanced": "lost", "hanging": "write"}  # fmt: skip


@contextlib.contextmanager
def small_disk(folder):
    """64 kB, mounted there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "waypost-faults", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def waypost_before(servers, fault):
    places = [{"name": name, "host": servers.address(name), "port": servers.ports[name]} for name in servers.names]
    cluster = {}
    made = waypost_process.Waypost(servers, sections={"cluster": cluster}, servers=places)
    made.state = made.dir / "disk" / "state"
    made.state.parent.mkdir()
    if fault.remembers:
        cluster["state_file"] = str(made.state)
    with contextlib.ExitStack() as stack:
        stack.callback(made.close)
        if fault.small_disk:
            stack.enter_context(small_disk(made.state.parent))
        stack.callback(made.stop)
        yield made.start()
        assert made.process.poll() is None, f"ended by itself: {made.process.returncode}\n{made.log()[-3000:]}"


def score(fault, scene):
    """{column: figure} of a load that has been judged."""
    load, servers = scene.load, scene.servers
    row = collections.Counter({column: 0 for column in COLUMNS})
    for what, cases in load.wrong.items():
        row[KINDS_OF_WRONG[what]] += len(cases)
    for server, since in scene.deposed.items():
        row["deposed"] += len(load.acknowledged("write", since + DEPOSED_SECONDS, [servers.ports[server]]))
        row["deposed"] += server in scene.held and scene.held[server] != scene.rows(server)
    for kind, outcomes in load.outcomes().items():
        for outcome, count in outcomes.items():
            if outcome in TOLD.get(kind, ()):
                row["unsure"] += count
            elif not (fault.gone and outcome in GONE):
                row["write" if kind in ("write", "transaction") else "read"] += count
    row["gap"] = None
    if scene.promoted:
        on_new = [e.ended for e in load.acknowledged("write", scene.promoted - 5, [servers.ports[scene.primary]])]
        row["gap"] = round((min(on_new) - scene.promoted) * 1000) if on_new else None
    row["pause"] = round(load.pause() * 1000)
    return row


def survived(row):
    return not any(row[column] for column in MUST_BE_ZERO)


def run(fault):
    """(row, what was told) of one fault; whatever keeps it from being played to its end is raised, with what was told until then."""
    servers = ThreeServers(fault.synchronous)
    try:
        servers.up()
        servers.sql(SCHEMA, "pg0", "openfire", "openfire")
        with waypost_before(servers, fault) as waypost, Workload(waypost.port) as load:
            scene = Scene(servers, waypost, load)
            scene.goes_on()
            try:
                fault.act(scene)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{load.summary()}\n{waypost.log()[-3000:]}") from error
            time.sleep(0.3)
            load.stop()
            load.judge(servers, scene.primary)
            row = score(fault, scene)
            return row, load.summary() + ("" if survived(row) else f"\n{waypost.log()[-6000:]}")
    finally:
        servers.down()


def line(name, row):
    figures = ("-" if row[column] is None else str(row[column]) for column in COLUMNS)
    return f"{name:26}" + "".join(f"{figure:>9}" for figure in figures)


def chosen(names):
    known = {fault.name: fault for fault in CATALOGUE}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no fault {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or CATALOGUE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", default="", help="their names, separated by commas; all of them if left out")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="say which faults there are")
    wanted = parser.parse_args()
    faults = chosen([name for name in wanted.faults.split(",") if name])
    if wanted.list:
        print("\n".join(f"{fault.name:26} {fault.what}" for fault in faults))
        return 0
    if os.geteuid() != 0:
        sys.exit("run.py must run as root: it mounts a small disk and sets rules of the firewall")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its servers end with it
    print(line("fault", {column: column for column in COLUMNS} | {"gap": "gap ms", "pause": "pause ms"}))
    failed = 0
    for fault in faults * wanted.rounds:
        try:
            row, told = run(fault)
        except Exception:  # the others are worth a line all the same
            failed += 1
            print(f"{fault.name:26} not played to its end\n{traceback.format_exc()}", flush=True)
            continue
        print(line(fault.name, row), flush=True)
        if not survived(row):
            failed += 1
            print(told, flush=True)
    print(f"{failed} of {len(faults) * wanted.rounds} were not survived as they must be")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
