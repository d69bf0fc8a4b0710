#!/usr/bin/env python3
"""Where a proxy's CPU goes: perf record while pgbench -S runs through it. See bench/README.md."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cluster as pg
import compare
import measure
import proxies

SYSTEMS = {"waypost": proxies.Waypost, "waypost-eventual": proxies.WaypostEventual, "pgbouncer": proxies.PgBouncer,
           "pgpool": proxies.Pgpool, "haproxy": proxies.HAProxy}


def perf_report(data, *arguments):
    out = subprocess.run(["perf", "report", "--stdio", "--no-children", "-i", data, *arguments],
                         capture_output=True, text=True, check=True)
    return "\n".join(line for line in out.stdout.splitlines() if line.strip() and not line.startswith("#"))


def profile(system, options, root):
    data = str(options.keep_data or root / "perf.data")
    pids = ",".join(str(pid) for pid in measure.tree(system.process.pid))
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", "2000", "-g", "-o", data, "-p", pids],
                                stdin=subprocess.DEVNULL)
    before = measure.cpu_seconds(system.process.pid)
    count, tps, latency = compare.pgbench(system, options.workload, ["-c", str(options.clients), "-T", str(options.seconds)],
                                          root / "pgbench.log")
    cpu = measure.cpu_seconds(system.process.pid) - before
    recorder.terminate()
    recorder.wait()
    print(f"{system.name}, {options.workload}, {options.clients} clients: {tps:,.0f} tps, {latency} ms, "
          f"{cpu / count * 1e6:.2f} us of own CPU per transaction")
    print("\n-- by binary\n" + perf_report(data, "-g", "none", "--sort", "dso"))
    print("\n-- by function\n" + perf_report(data, "-g", "none", "--sort", "dso,symbol", "--percent-limit", "0.4"))
    if options.graph:
        print("\n-- callers\n" + perf_report(data, "-g", "caller,0.5,callee", "--percent-limit", "1"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--workload", choices=compare.WORKLOADS, default="simple")
    parser.add_argument("--clients", type=int, default=compare.CLIENTS)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--waypost", default=str(compare.REPOSITORY / "build/release/waypost"), help="the binary")
    parser.add_argument("--graph", action="store_true", help="also print the call graph")
    parser.add_argument("--keep-data", type=pathlib.Path, help="where to leave perf's data")
    options = parser.parse_args()
    if not shutil.which("perf"):
        raise SystemExit("perf is not there: apt install linux-perf")
    root = pathlib.Path(tempfile.mkdtemp(prefix="waypost-profile-"))
    root.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(root, pg.ACCOUNT)
    servers = pg.Cluster(root)
    kind = SYSTEMS[options.system]
    arguments = (options.waypost,) if issubclass(kind, proxies.Waypost) else ()
    system = kind(root, servers, *arguments)
    try:
        servers.start()
        compare.fill(servers)
        system.start()
        compare.pgbench(system, options.workload, ["-c", str(options.clients), "-t", "200"], root / "pgbench.log")
        profile(system, options, root)
    finally:
        system.stop()
        servers.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
