"""Openfire.java as a process: pgjdbc and DBCP2 going on as Openfire does, and what it says of it in the end."""

import collections
import subprocess
import tempfile

import jdbc


class Openfire:
    """`port`: one, or several separated by commas."""

    def __init__(self, port, threads=6, validated=False):
        self.complaints = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(jdbc.command("Openfire", port, threads, *["validated"] * validated), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.complaints, text=True)  # fmt: skip
        self.done, self.errors = {}, collections.defaultdict(dict)
        self.wrong, self.messages = [], []

    def __enter__(self):
        line = self.process.stdout.readline()
        if line != "goes on\n":
            self.complaints.seek(0)
            raise AssertionError(f"{line}{self.complaints.read()[-3000:]}")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def judge(self, port):
        """Ends it; it compares what it was told with the server at that port. Fills done, errors, wrong."""
        out, _ = self.process.communicate(f"judge {port}\n", timeout=100)
        for line in out.splitlines():
            name, value = line.split("\t", 1)
            if name == "wrong":
                self.wrong.append(value)
            elif name == "error":
                count, kind, state, message = value.split("\t", 3)
                self.errors[kind][state] = self.errors[kind].get(state, 0) + int(count)
                self.messages.append(f"{count} x {kind} {state} {message}")
            else:
                self.done[name] = int(value)
        assert "read" in self.done, out
        return self

    def summary(self):
        return "\n".join([f"pgjdbc: {self.done}, errors {dict(self.errors)}, wrong {self.wrong[:5]}", *("  " + m for m in self.messages[:12])])
