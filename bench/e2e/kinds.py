#!/usr/bin/env python3
"""What it costs that clients start with different settings: kinds of clients on a full budget of server connections, beside
as many clients of one kind. See bench/README.md."""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import urllib.request

import cluster as pg
import measure
import proxies
from compare import fill

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROCESSES = 8  # pgbench processes, whatever the number of kinds
WORKLOADS = {"select": ["-S"], "tpcb": []}


class Waypost(proxies.Waypost):
    name = "waypost-kinds"
    consistency = "eventual"

    def __init__(self, root, cluster, binary, max_connections):
        self.max_connections = max_connections
        super().__init__(root, cluster, binary)

    def configure(self, clients):
        command = super().configure(clients)
        config = self.root / "waypost.toml"
        config.write_text(config.read_text().replace("[[server]]\n", f"[[server]]\nmax_connections = {self.max_connections}\n"))
        return command

    def connects(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("waypost_server_connects_total{"))


def run(system, workload, kinds, options):
    """(transactions per second, own CPU us per transaction, server connections opened meanwhile)"""
    processes = []
    cpu, connects = measure.cpu_seconds(system.process.pid), system.connects()
    for number in range(PROCESSES):
        kind = f"-c extra_float_digits={number % kinds % 4} -c lock_timeout={1000 + number % kinds}"
        environment = {**os.environ, "PGPASSWORD": pg.PASSWORD, "PGOPTIONS": kind, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
        command = ["pgbench", "-n", "-h", "127.0.0.1", "-p", str(system.port), "-U", pg.USER, *WORKLOADS[workload],
                   "-c", str(options.clients // PROCESSES), "-T", str(options.seconds), pg.DATABASE]  # fmt: skip
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment))
    count = tps = 0
    for process in processes:
        out, error = process.communicate()
        done = re.search(r"actually processed: (\d+)", out)
        if process.returncode != 0 or not done:
            raise SystemExit(f"pgbench failed: {error[-500:]}")
        count += int(done.group(1))
        tps += float(re.search(r"^tps = ([\d.]+)", out, re.M).group(1))
    return tps, (measure.cpu_seconds(system.process.pid) - cpu) / count * 1e6, system.connects() - connects


def compare(options, root):
    cluster = pg.Cluster(root)
    system = None
    try:
        cluster.start()
        fill(cluster)
        system = Waypost(root, cluster, options.waypost, options.max_connections)
        system.start()
        print(f"{options.clients} clients on {options.max_connections} connections a server, one worker, eventual, "
              f"medians of {options.rounds} interleaved rounds of {options.seconds} s, ratios pair by pair")  # fmt: skip
        for workload in options.workloads:
            for kinds in options.kinds:  # each is warm
                run(system, workload, kinds, argparse.Namespace(**{**vars(options), "seconds": 1}))
            runs = {kinds: [] for kinds in options.kinds}
            for _ in range(options.rounds):
                for kinds in options.kinds:
                    runs[kinds].append(run(system, workload, kinds, options))
            for kinds, found in runs.items():
                tps, cpu, opened = (statistics.median(column) for column in zip(*found))
                share, dear = (statistics.median(a[i] / b[i] for a, b in zip(found, runs[options.kinds[0]])) for i in (0, 1))
                print(f"{workload:8}{kinds:3} kinds {tps:9.0f} tps (x {share:.2f}) {cpu:7.1f} us own CPU (x {dear:.2f}) "
                      f"{opened:5.0f} server connections opened", flush=True)  # fmt: skip
    finally:
        if system:
            system.stop()
        cluster.stop()


def main():
    def numbers(text):
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--waypost", default=str(REPOSITORY / "build/release/waypost"), help="the binary")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--max-connections", type=int, default=4)
    parser.add_argument("--kinds", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4, help="of one run")
    options = parser.parse_args()
    root = pg.own_directory("kinds")
    try:
        compare(options, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
