#!/usr/bin/env python3
"""Instructions in user space per transaction, counted by callgrind: a figure that no busy machine moves. See bench/README.md."""

import argparse
import collections
import re
import shutil
import subprocess
import sys
import time

import cluster as pg
import compare
import profile as profiles
import proxies

WARM = 100  # transactions of each client before anything is counted


def under_callgrind(kind, root):
    """A `kind` of proxy that runs under callgrind."""

    class Counted(kind):
        def configure(self, clients):
            for old in root.glob(f"{self.name}.out*"):
                old.unlink()
            return ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={root}/{self.name}.out", "--vgdb-prefix=" + str(root / "vgdb"),
                    *super().configure(clients)]

        def control(self, *arguments):
            subprocess.run(["callgrind_control", f"--vgdb-prefix={root / 'vgdb'}", *arguments, str(self.process.pid)], check=True,
                           capture_output=True, **pg.as_account())

        def dump(self):
            """What was counted since the last "-z", as a file."""
            before = set(root.glob(f"{self.name}.out*"))
            self.control("-d")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                for made in set(root.glob(f"{self.name}.out*")) - before:
                    if re.search(r"^totals: \d+$", made.read_text(), re.M):  # its last line
                        return made
                time.sleep(0.05)
            raise RuntimeError(f"callgrind wrote nothing of {self.name}")

    return Counted


def count(system, workload, clients, transactions, root):
    """(instructions per transaction, functions_of()) of `transactions` by each client, log-in not counted."""
    log = root / "pgbench.log"
    compare.pgbench(system, workload, ["-c", str(clients), "-t", str(WARM)], log)
    totals = []
    for each in (WARM, WARM + transactions):  # what log-ins cost is in both
        system.control("-z")
        compare.pgbench(system, workload, ["-c", str(clients), "-t", str(each)], log)
        dump = system.dump()
        totals.append((instructions_of(dump), dump))
    (less, _), (more, dump) = totals
    return (more - less) / (clients * transactions), functions_of(dump, clients * (WARM + transactions))


def instructions_of(dump):
    return int(re.search(r"^totals: (\d+)$", dump.read_text(), re.M).group(1))


def functions_of(dump, transactions):
    """[(instructions of its own per transaction, function)], the dearest first."""
    names, own, function, callee = {}, collections.Counter(), None, False
    for line in dump.read_text().splitlines():
        if found := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
            if found.group(3):  # a name is written out where it is met first
                names[found.group(2)] = found.group(3)
            if not found.group(1):
                function = found.group(2)
        elif line.startswith("calls="):
            callee = True  # the next line is what the callee costs
        elif re.match(r"[\d+*-]", line):
            if not callee:
                own[function] += int(line.split()[1])
            callee = False
    return [(its / transactions, names.get(function, function)) for function, its in own.most_common()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("systems", nargs="*", default=["waypost-eventual", "waypost", "pgbouncer"], metavar="SYSTEM",
                        help=", ".join(profiles.SYSTEMS))
    parser.add_argument("--workloads", default="simple,prepared")
    parser.add_argument("--clients", type=int, default=compare.CLIENTS)
    parser.add_argument("--transactions", type=int, default=1000, help="of each client")
    parser.add_argument("--waypost", default=str(compare.REPOSITORY / "build/release/waypost"), help="the binary")
    parser.add_argument("--functions", type=int, default=0, help="so many functions of each")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not there: apt install valgrind")
    root = pg.own_directory("instructions")
    servers = pg.Cluster(root)
    try:
        servers.start()
        compare.fill(servers)
        for workload in options.workloads.split(","):
            for name in options.systems:
                kind = profiles.SYSTEMS[name]
                arguments = (options.waypost,) if issubclass(kind, proxies.Waypost) else ()
                system = under_callgrind(kind, root)(root, servers, *arguments)
                system.start()
                try:
                    each, functions = count(system, workload, options.clients, options.transactions, root)
                    print(f"{name:18} {workload:10} {options.clients:4} clients: {each:10,.0f} instructions per transaction", flush=True)
                    for its, function in functions[:options.functions]:
                        print(f"    {its:8,.0f}  {function}")
                finally:
                    system.stop()
    finally:
        servers.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
