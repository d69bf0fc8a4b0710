#!/usr/bin/env python3
"""Waypost beside PgBouncer, pgpool-II, HAProxy and no proxy at all, in one run. See bench/README.md."""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import cluster as pg
import measure
import proxies
from wire import IdleClient

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = 16
WORKLOADS = {  # name: (arguments of pgbench, what it is)
    "simple": (["-S"], "pgbench -S, simple protocol"),
    "prepared": (["-S", "-M", "prepared"], "pgbench -S -M prepared (PgBouncer: session mode)"),
    "tpcb": ([], "pgbench's TPC-B script, simple protocol"),
    "connect": (["-S", "-C"], "pgbench -S -C: log in, one SELECT, log out"),
}
LOGIN_ROUNDS = 3
WARM_CLIENTS = 50  # held before memory is first looked at: what is loaded once is not a client's


@dataclasses.dataclass
class Run:
    transactions: int
    tps: float
    latency_ms: float
    cpu_us: float | None  # of the proxy, per transaction; None without a proxy


def pgbench(proxy, workload, arguments, log):
    """Runs pgbench through `proxy`; (transactions, transactions per second, latency in ms)."""
    command = ["pgbench", "-n", *WORKLOADS[workload][0], *arguments, "-h", "127.0.0.1", "-p", str(proxy.port),
               "-U", pg.USER, proxy.database(workload)]
    environment = {**os.environ, "PGPASSWORD": pg.PASSWORD, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env=environment)
    with open(log, "a") as out:
        out.write(f"== {proxy.name} {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    count = re.search(r"actually processed: (\d+)", done.stdout)
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    latency = re.search(r"latency average = ([\d.]+) ms", done.stdout)
    if done.returncode != 0 or not (count and tps and latency):
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()[-300:]}")
    return int(count.group(1)), float(tps.group(1)), float(latency.group(1))


def fill(servers):
    """Makes pgbench's tables, one branch for each client, so that TPC-B does not wait for row locks alone."""
    environment = {**os.environ, "PGPASSWORD": pg.PASSWORD}
    subprocess.run(["pgbench", "-i", "-q", "-s", str(CLIENTS), "-h", "127.0.0.1", "-p", str(servers.ports[0]),
                    "-U", pg.USER, pg.DATABASE], check=True, capture_output=True, env=environment)


class Comparison:
    def __init__(self, options, root):
        self.options, self.root, self.started = options, root, time.monotonic()
        self.cluster = pg.Cluster(root)
        self.systems = []
        self.login_cpu = {}  # (system, workload): seconds that the clients' logins cost the proxy
        self.runs = {}       # (system, workload): [Run]
        self.calls = {}      # system: {name: calls per query}
        self.idle = {}       # system: bytes per idle client
        self.failed = {}     # (system, what): why
        self.versions = {}

    def go(self):
        try:
            self.say("starting a primary and two synchronous replicas")
            self.cluster.start()
            self.say("filling pgbench's tables")
            fill(self.cluster)
            self.start_systems()
            self.measure_workloads()
            self.measure_system_calls()
            self.measure_idle_clients()
        finally:
            for system in self.systems:
                system.stop()
            self.cluster.stop()
        self.say("done")

    def say(self, text):
        print(f"# {time.monotonic() - self.started:4.0f} s  {text}", file=sys.stderr, flush=True)

    def start_systems(self):
        binary = self.options.waypost
        every = [proxies.Direct(self.root, self.cluster), proxies.WaypostEventual(self.root, self.cluster, binary),
                 proxies.Waypost(self.root, self.cluster, binary), proxies.PgBouncer(self.root, self.cluster),
                 proxies.Pgpool(self.root, self.cluster), proxies.HAProxy(self.root, self.cluster)]
        for system in every:
            if self.options.only and system.name not in self.options.only:
                continue
            if not system.available():
                self.say(f"{system.name}: {system.program} is not there, left out")
                continue
            try:
                system.start()
                self.systems.append(system)
                # Every process of pgpool-II makes its server connections now, not while it is measured.
                pgbench(system, "simple", ["-c", str(proxies.ROOM), "-t", "20"], self.root / "pgbench.log")
                self.versions[system.name] = system.version()
            except RuntimeError as error:
                self.say(str(error))
                self.failed[system.name, "start"] = str(error)

    def bench(self, system, workload, arguments):
        pid = system.process.pid if system.process else None
        before = measure.cpu_seconds(pid) if pid else 0.0
        count, tps, latency = pgbench(system, workload, arguments, self.root / "pgbench.log")
        return count, tps, latency, (measure.cpu_seconds(pid) - before if pid else None)

    def measure_workloads(self):
        for workload in self.options.workloads:
            self.say(f"{workload}: {WORKLOADS[workload][1]}, {self.options.rounds} x {self.options.seconds} s each")
            for system in self.systems:
                self.attempt(system, workload, self.warm_up)
            for _ in range(self.options.rounds):
                for system in self.systems:
                    self.attempt(system, workload, self.one_run)

    def attempt(self, system, workload, action):
        if (system.name, workload) in self.failed:
            return
        try:
            action(system, workload)
        except RuntimeError as error:
            self.say(f"{system.name}, {workload}: {error}")
            self.failed[system.name, workload] = str(error)

    def warm_up(self, system, workload):
        self.bench(system, workload, ["-c", str(CLIENTS), "-t", "2" if workload == "connect" else "50"])
        if workload != "connect":
            spent = [self.bench(system, workload, ["-c", str(CLIENTS), "-t", "1"])[3] for _ in range(LOGIN_ROUNDS)]
            self.login_cpu[system.name, workload] = statistics.median(spent) if system.process else 0.0

    def one_run(self, system, workload):
        count, tps, latency, cpu = self.bench(system, workload,
                                              ["-c", str(CLIENTS), "-T", str(self.options.seconds)])
        cpu_us = None
        if cpu is not None:  # the logins of the 16 clients, with one transaction each, are no part of it
            logins = CLIENTS if workload != "connect" else 0
            cpu_us = (cpu - self.login_cpu.get((system.name, workload), 0.0)) / (count - logins) * 1e6
        self.runs.setdefault((system.name, workload), []).append(Run(count, tps, latency, cpu_us))

    def measure_system_calls(self):
        if not shutil.which("strace"):
            self.say("strace is not there: no system calls are counted")
            return
        self.say("system calls per query, one client")
        for system in self.systems:
            if system.process:
                self.attempt(system, "simple", self.count_calls)

    def count_calls(self, system, workload):
        queries = self.options.traced_queries
        tracer = measure.SystemCalls(system.process.pid, self.root / f"{system.name}.strace")
        tracer.start()
        try:
            self.bench(system, workload, ["-c", "1", "-t", str(queries)])
        finally:
            calls = tracer.stop()
        self.calls[system.name] = {name: count / queries for name, count in calls.items()}

    def measure_idle_clients(self):
        self.say(f"resident memory of {self.options.idle} idle clients")
        for system in self.systems:
            if system.process:
                self.attempt(system, "idle", self.count_idle)

    def count_idle(self, system, _):
        clients = []
        try:
            system.stop()
            system.start(clients=WARM_CLIENTS)
            self.hold(system, clients, WARM_CLIENTS)
            before = measure.resident_bytes(system.process.pid)
            if isinstance(system, proxies.Pgpool):  # a process per client, made at the start: another start with more
                system.stop()
                system.start(clients=WARM_CLIENTS + self.options.idle)
                self.hold(system, clients, WARM_CLIENTS)
            self.hold(system, clients, self.options.idle)
            after = measure.resident_bytes(system.process.pid)
        except OSError as error:
            raise RuntimeError(f"idle client {len(clients)}: {error}") from error
        finally:
            for client in clients:
                client.close()
        self.idle[system.name] = (after - before) / self.options.idle

    def hold(self, system, clients, more):
        """Adds `more` clients that have logged in and run one statement."""
        for _ in range(more):
            clients.append(IdleClient(system.port, pg.USER, pg.PASSWORD, pg.DATABASE))
            clients[-1].query("SELECT 1")
        time.sleep(1)


def median(runs, field):
    values = [getattr(run, field) for run in runs if getattr(run, field) is not None]
    return statistics.median(values) if values else None


def cell(value, width, digits=0, suffix=""):
    return ("-" if value is None else f"{value:,.{digits}f}{suffix}").rjust(width)


def ratio(ours, theirs, field):
    """The median of the rounds' ratios: the two of one round ran seconds apart, under the same disturbance."""
    pairs = [(getattr(a, field), getattr(b, field)) for a, b in zip(ours, theirs)]
    return statistics.median(a / b for a, b in pairs) if pairs and all(a and b for a, b in pairs) else None


def report(comparison):
    """The table. Ratios are waypost-eventual / this system: tps above 1 and CPU below 1 are good."""
    names = [system.name for system in comparison.systems]
    lines = ["versions: " + ", ".join(f"{name} {version}" for name, version in comparison.versions.items())]
    for workload in comparison.options.workloads:
        lines += ["", f"{workload}: {WORKLOADS[workload][1]}, {CLIENTS} clients",
                  f"{'':18}{'tps':>10}{'spread':>9}{'latency':>11}{'own CPU/tx':>13}{'| tps ratio':>14}{'CPU ratio':>11}"]
        ours = comparison.runs.get(("waypost-eventual", workload), [])
        for name in names:
            runs = comparison.runs.get((name, workload), [])
            if not runs:
                lines.append(f"{name:18}{'failed: ' + comparison.failed.get((name, workload), '?')[:80]}")
                continue
            tps = [run.tps for run in runs]
            lines.append(f"{name:18}" + cell(median(runs, "tps"), 10)
                         + cell((max(tps) - min(tps)) / statistics.median(tps) * 100, 9, 0, " %")
                         + cell(median(runs, "latency_ms"), 11, 3, " ms") + cell(median(runs, "cpu_us"), 13, 1, " us")
                         + cell(ratio(ours, runs, "tps"), 14, 2)
                         + cell(ratio(ours, runs, "cpu_us"), 11, 2))
    lines += ["", f"{'':18}{'calls/query':>12}{'KiB/idle client':>17}   the most frequent system calls, per query"]
    for name in names:
        if name == "direct":
            continue
        calls = comparison.calls.get(name, {})
        idle = comparison.idle.get(name)
        top = sorted(((n, c) for n, c in calls.items() if n != "total"), key=lambda item: -item[1])[:6]
        lines.append(f"{name:18}" + cell(calls.get("total"), 12, 2) + cell(idle / 1024 if idle is not None else None, 17, 1)
                     + "   " + ", ".join(f"{n} {c:.2f}" for n, c in top))
    return "\n".join(lines)


def as_json(comparison):
    return {
        "versions": comparison.versions,
        "options": {k: str(v) for k, v in vars(comparison.options).items()},
        "runs": [{"system": s, "workload": w, **dataclasses.asdict(run)}
                 for (s, w), runs in comparison.runs.items() for run in runs],
        "system_calls_per_query": comparison.calls,
        "bytes_per_idle_client": comparison.idle,
        "failed": [{"system": s, "what": w, "why": why} for (s, w), why in comparison.failed.items()],
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds: about 2 minutes")
    parser.add_argument("--waypost", default=str(REPOSITORY / "build/release/waypost"), help="the binary")
    parser.add_argument("--only", action="append", help="only this system (may be repeated): direct, waypost, "
                        "waypost-eventual, pgbouncer, pgpool, haproxy")
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="5, or 2 if quick")
    parser.add_argument("--seconds", type=int, help="of one run: 5, or 1 if quick")
    parser.add_argument("--idle", type=int, help="idle clients to hold: 500, or 100 if quick")
    parser.add_argument("--traced-queries", type=int, default=2000)
    parser.add_argument("--json", type=pathlib.Path, help="also write all figures there")
    parser.add_argument("--keep", action="store_true", help="leave logs and configurations behind")
    out = parser.parse_args()
    out.rounds = out.rounds or (2 if out.quick else 5)
    out.seconds = out.seconds or (1 if out.quick else 5)
    out.idle = out.idle or (100 if out.quick else 500)
    unknown = [name for name in out.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"--workloads: {unknown[0]!r} is none of {', '.join(WORKLOADS)}")
    return out


def main():
    chosen = options()
    root = pg.own_directory("bench")
    comparison = Comparison(chosen, root)
    try:
        comparison.go()
        print(report(comparison))
        if chosen.json:
            chosen.json.write_text(json.dumps(as_json(comparison), indent=1) + "\n")
    finally:
        if chosen.keep:
            print(f"# logs and configurations: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if comparison.failed else 0


if __name__ == "__main__":
    sys.exit(main())
