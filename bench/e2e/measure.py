"""What is measured of a process tree: CPU time, resident memory, system calls."""

import contextlib
import pathlib
import re
import signal
import subprocess
import time

TICKS_PER_SECOND = 100  # USER_HZ of every Linux we know


def tree(pid):
    """`pid` and all its descendants."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid):
    """CPU time of all threads of the tree, and of children that have ended."""
    total = 0.0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{member}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0]) / 1e9
            fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND  # cutime, cstime
    return total


def resident_bytes(pid):
    """Memory of the tree; what processes share (fork) is counted once."""
    total = 0
    for member in tree(pid):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{member}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) * 1024
    return total


class SystemCalls:
    """Counts the system calls of a process tree by strace, between start() and stop()."""

    def __init__(self, pid, out: pathlib.Path):
        self.pid, self.out, self.tracer = pid, out, None

    def start(self):
        pids = [argument for member in tree(self.pid) for argument in ("-p", str(member))]
        self.tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(self.out), *pids],
                                       stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._attached() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)

    def _attached(self):
        if self.tracer.poll() is not None:
            raise RuntimeError("strace: " + self.tracer.stderr.read().decode()[-300:])
        for member in tree(self.pid):
            with contextlib.suppress(OSError):
                if "TracerPid:\t0\n" in pathlib.Path(f"/proc/{member}/status").read_text():
                    return False
        return True

    def stop(self):
        """{name: calls}, with their sum under "total"."""
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait(timeout=20)
        self.tracer.stderr.close()
        calls = {}
        for line in self.out.read_text().splitlines():
            fields = line.split()
            # "% time  seconds  usecs/call  calls  [errors]  syscall"
            if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[3].isdigit():
                calls[fields[-1]] = int(fields[3])
        calls.pop("total", None)
        return {"total": sum(calls.values()), **calls}
