#!/usr/bin/env python3
"""What the fence costs: strict beside bounded and eventual, on an idle primary and under writes. See bench/README.md."""

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
import urllib.request

import cluster as pg
import measure
import proxies
from compare import fill

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
LEVELS = ("strict", "bounded", "eventual")
WRITERS = 4
WRITE_SCRIPT = "\\set a random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n"
REPLICATION = {  # name: (synchronous_commit, keeps synchronous_standby_names, read_from)
    "async": ("on", False, "streaming"),
    "on": ("on", True, "synchronous"),
    "remote_apply": ("remote_apply", True, "synchronous"),
}


class Waypost(proxies.Waypost):
    def __init__(self, root, cluster, binary, consistency, read_from):
        self.name = f"waypost-{consistency}"
        self.consistency, self.read_from = consistency, read_from
        super().__init__(root, cluster, binary)

    def configure(self, clients):
        command = super().configure(clients)
        config = self.root / "waypost.toml"
        config.write_text(config.read_text().replace("[routing]\n", f'[routing]\nread_from = "{self.read_from}"\n'))
        return command

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as reply:
            lines = [line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if line and line[0] != "#"]
        return {series: float(value) for series, value in lines}


@dataclasses.dataclass
class Run:
    tps: float
    p50_us: float
    p99_us: float
    cpu_us: float           # Waypost's own, per read
    replica_share: float
    probes: float           # questions to any server, per second
    probes_primary: float   # of these, to the primary
    primary_cpu: float      # CPU seconds per second of the primary's processes that answer probes
    writes: float           # per second


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] if sorted_values else float("nan")


class Fence:
    def __init__(self, options, root):
        self.options, self.root, self.started = options, root, time.monotonic()
        self.cluster = pg.Cluster(root)
        self.systems, self.runs = [], {}

    def say(self, text):
        print(f"# {time.monotonic() - self.started:4.0f} s  {text}", file=sys.stderr, flush=True)

    def go(self):
        try:
            self.cluster.start()
            commit, names, read_from = REPLICATION[self.options.replication]
            self.cluster.psql("postgres", f"ALTER SYSTEM SET synchronous_commit = '{commit}'")
            if not names:
                self.cluster.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''")
            self.cluster.psql("postgres", "SELECT pg_reload_conf()")
            fill(self.cluster)
            (self.root / "write.sql").write_text(WRITE_SCRIPT)
            for level in self.options.levels:
                system = Waypost(self.root, self.cluster, self.options.waypost, level, read_from)
                system.start()
                self.systems.append(system)
            for rate in self.options.write_rates:
                for clients in self.options.clients:
                    self.measure(rate, clients)
        finally:
            for system in self.systems:
                system.stop()
            self.cluster.stop()

    def measure(self, rate, clients):
        self.say(f"{rate} writes/s, {clients} clients: {self.options.rounds} x {self.options.seconds} s each")
        for system in self.systems:
            self.read(system, clients, 1)
        for _ in range(self.options.rounds):
            for system in self.systems:
                self.runs.setdefault((rate, clients, system.consistency), []).append(self.one_run(system, rate, clients))

    def pgbench(self, port, *arguments):
        command = ["pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", pg.USER, *map(str, arguments), pg.DATABASE]
        environment = {**os.environ, "PGPASSWORD": pg.PASSWORD, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                                cwd=self.root)

    def read(self, system, clients, seconds):
        """(transactions, tps, sorted latencies in us)"""
        for log in self.root.glob("reads.*"):
            log.unlink()
        process = self.pgbench(system.port, "-S", "-M", self.options.protocol, "-c", clients, "-T", seconds, "-l",
                               "--log-prefix", "reads")
        out, error = process.communicate()
        count = re.search(r"actually processed: (\d+)", out)
        tps = re.search(r"^tps = ([\d.]+)", out, re.M)
        if process.returncode != 0 or not count:
            raise SystemExit(f"pgbench failed through {system.name}: {error[-500:]}")
        latencies = [int(line.split()[2]) for log in self.root.glob("reads.*") for line in open(log)]
        return int(count.group(1)), float(tps.group(1)), sorted(latencies)

    def one_run(self, system, rate, clients):
        writer = None
        if rate:
            writer = self.pgbench(self.cluster.ports[0], "-f", self.root / "write.sql", "-c", WRITERS, "-R", rate, "-T",
                                  self.options.seconds + 3)
            time.sleep(1)
        probers = self.probers()
        before, cpu = system.metrics(), measure.cpu_seconds(system.process.pid)
        primary, begun = self.cpu(probers), time.monotonic()
        count, tps, latencies = self.read(system, clients, self.options.seconds)
        took = time.monotonic() - begun
        primary, cpu = self.cpu(probers) - primary, measure.cpu_seconds(system.process.pid) - cpu
        after = system.metrics()
        written = 0.0
        if writer:
            out, error = writer.communicate()
            if writer.returncode != 0:
                raise SystemExit(f"pgbench, the writer, failed: {error[-500:]}")
            written = float(re.search(r"^tps = ([\d.]+)", out, re.M).group(1))

        def grown(name, server=None):
            return sum(value - before.get(series, 0) for series, value in after.items()
                       if series.split("{")[0] == name and (server is None or f'server="{server}"' in series))

        answered = grown("waypost_backend_queries_total")
        on_primary = grown("waypost_backend_queries_total", "pg0")
        return Run(tps=tps, p50_us=percentile(latencies, 0.5), p99_us=percentile(latencies, 0.99), cpu_us=cpu / count * 1e6,
                   replica_share=1 - on_primary / answered if answered else float("nan"),
                   probes=grown("waypost_fence_probes_total") / took,
                   probes_primary=grown("waypost_fence_probes_total", "pg0") / took,
                   primary_cpu=primary / took, writes=written)

    def probers(self):
        """Processes of the primary that answer the fence's questions."""
        pids = self.cluster.psql("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name = 'waypost fence'")
        return [int(pid) for pid in pids.split()]

    @staticmethod
    def cpu(pids):
        return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def ratio(ours, theirs, field):
    return statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(ours, theirs))


def difference(ours, theirs, field):
    return statistics.median(getattr(a, field) - getattr(b, field) for a, b in zip(ours, theirs))


def report(fence):
    options = fence.options
    lines = [f"replication {options.replication}, pgbench -S -M {options.protocol}, one worker, "
             f"medians of {options.rounds} rounds of {options.seconds} s"]
    heading = (f"{'':12}{'reads/s':>9}{'p50 us':>9}{'p99 us':>9}{'own CPU us':>12}{'on replicas':>13}{'probes/s':>10}"
               f"{'of primary':>12}{'its CPU':>9}{'writes/s':>10} | against eventual: {'CPU':>5}{'p50':>10}{'p99':>10}")
    for rate in options.write_rates:
        for clients in options.clients:
            lines += ["", f"{rate} writes/s, {clients} client{'s' if clients > 1 else ''}", heading]
            base = fence.runs.get((rate, clients, "eventual"))
            for level in options.levels:
                runs = fence.runs[rate, clients, level]
                line = (f"{level:12}{median(runs, 'tps'):9.0f}{median(runs, 'p50_us'):9.0f}{median(runs, 'p99_us'):9.0f}"
                        f"{median(runs, 'cpu_us'):12.1f}{median(runs, 'replica_share') * 100:11.1f} %"
                        f"{median(runs, 'probes'):10.0f}{median(runs, 'probes_primary'):12.0f}"
                        f"{median(runs, 'primary_cpu') * 100:7.2f} %{median(runs, 'writes'):10.0f}")
                if base and level != "eventual":
                    line += (f" | {'':17}{ratio(runs, base, 'cpu_us'):6.2f}{difference(runs, base, 'p50_us'):+7.0f} us"
                             f"{difference(runs, base, 'p99_us'):+7.0f} us")
                lines.append(line)
    return "\n".join(lines)


def options():
    def numbers(text):
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--waypost", default=str(REPOSITORY / "build/release/waypost"), help="the binary")
    parser.add_argument("--replication", choices=list(REPLICATION), default="async")
    parser.add_argument("--levels", type=lambda text: text.split(","), default=list(LEVELS))
    parser.add_argument("--clients", type=numbers, default=[1, 16])
    parser.add_argument("--write-rates", type=numbers, default=[0, 100, 1000])
    parser.add_argument("--protocol", choices=["simple", "extended", "prepared"], default="simple")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of one run")
    parser.add_argument("--json", type=pathlib.Path, help="also write all figures there")
    return parser.parse_args()


def main():
    chosen = options()
    root = pg.own_directory("fence")
    fence = Fence(chosen, root)
    try:
        fence.go()
        print(report(fence))
        if chosen.json:
            chosen.json.write_text(json.dumps(
                [{"write_rate": rate, "clients": clients, "consistency": level, **dataclasses.asdict(run)}
                 for (rate, clients, level), runs in fence.runs.items() for run in runs], indent=1) + "\n")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
