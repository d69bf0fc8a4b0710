#!/usr/bin/env python3
"""Where a proxy's CPU goes: perf record while pgbench -S runs through it. See bench/README.md."""

import argparse
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cluster as pg
import compare
import measure
import proxies

FREQUENCY = 7919  # samples per second; a prime, so as not to march in step with anything

SYSTEMS = {"waypost": proxies.Waypost, "waypost-eventual": proxies.WaypostEventual, "pgbouncer": proxies.PgBouncer,
           "pgpool": proxies.Pgpool, "haproxy": proxies.HAProxy}


def perf_report(data, *arguments):
    out = subprocess.run(["perf", "report", "--stdio", "--no-children", "-i", data, *arguments],
                         capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in out.stdout.splitlines() if line.strip() and not line.startswith("#"))


EVENTS = ["epoll_wait", "epoll_pwait", "epoll_ctl", "read", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
          "futex", "clock_gettime"]


def calls_under_load(system, options, root):
    """System calls per transaction at this load, where epoll_wait is shared by many; counted, not traced: no cost."""
    events = ",".join(f"syscalls:sys_enter_{name}" for name in EVENTS) + ",context-switches"
    pids = ",".join(str(pid) for pid in measure.tree(system.process.pid))
    out = root / "perf.stat"
    counter = subprocess.Popen(["perf", "stat", "-x;", "-o", str(out), "-e", events, "-p", pids], stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    count, _, _ = compare.pgbench(system, options.workload, ["-c", str(options.clients), "-T", str(options.seconds)],
                                  root / "pgbench.log")
    counter.send_signal(signal.SIGINT)
    counter.wait()
    for line in out.read_text().splitlines():
        fields = line.split(";")
        if len(fields) > 2 and fields[0].isdigit() and int(fields[0]) / count >= 0.01:
            yield fields[2].replace("syscalls:sys_enter_", ""), int(fields[0]) / count


def profile(system, options, root):
    data = str(options.keep_data or root / "perf.data")
    pids = ",".join(str(pid) for pid in measure.tree(system.process.pid))
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", str(FREQUENCY), "-g", "-o", data, "-p", pids],
                                stdin=subprocess.DEVNULL)
    before = measure.cpu_seconds(system.process.pid)
    count, tps, latency = compare.pgbench(system, options.workload, ["-c", str(options.clients), "-T", str(options.seconds)],
                                          root / "pgbench.log")
    cpu = measure.cpu_seconds(system.process.pid) - before
    recorder.terminate()
    recorder.wait()
    print(f"{system.name}, {options.workload}, {options.clients} clients: {tps:,.0f} tps, {latency} ms, "
          f"{cpu / count * 1e6:.2f} us of own CPU per transaction")
    print("\n-- per transaction at this load\n" + ", ".join(f"{name} {calls:.2f}" for name, calls in
                                                          calls_under_load(system, options, root)))
    print("\n-- by binary\n" + perf_report(data, "-g", "none", "--fields", "overhead,dso"))
    print("\n-- by function\n" + perf_report(data, "-g", "none", "--fields", "overhead,dso,symbol", "--percent-limit", "0.3"))
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
    root = pg.own_directory("profile")
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
