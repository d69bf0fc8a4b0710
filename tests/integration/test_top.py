"""waypost top: as text, as JSON, and live on a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest
import waypost as waypost_process
from waypost import BINARY

pytestmark = pytest.mark.proxy


@pytest.fixture(scope="module")
def proxy(cluster):
    with waypost_process.running(cluster) as made:
        made.wait_for_split()
        yield made


@contextlib.contextmanager
def traffic(proxy):
    """Reads and writes until the block ends."""
    over = threading.Event()

    def work():
        with proxy.connect() as conn:
            while not over.is_set():
                conn.value("SELECT count(*) FROM probe_me")
                conn.simple("UPDATE probe_me SET t = t WHERE id = 1")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *words, rows=30, columns=120):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns, None)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([BINARY, *words], stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE, start_new_session=True)
        self.text = ""

    def resize(self, rows, columns, process):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if process:
            process.send_signal(signal.SIGWINCH)

    def read_until(self, shown, seconds=20):
        """What came until `shown` did, which counts from now on."""
        fresh, end = "", time.monotonic() + seconds
        while shown not in fresh:
            assert time.monotonic() < end, f"no {shown!r} in {fresh!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                fresh += os.read(self.master, 65536).decode()
        self.text += fresh
        return fresh

    def end(self, code=0):
        self.read_until("\x1b[?1049l")
        assert self.process.wait(20) == code
        assert termios.tcgetattr(self.slave) == self.before  # as it was
        return self.process.stderr.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(proxy):
    made = Terminal("top", "--config", str(proxy.config), "--interval", "200ms")
    yield made
    made.close()


def run(*words):
    return subprocess.run([BINARY, "top", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


def test_once(proxy):
    with traffic(proxy):
        done = run("--config", proxy.config, "--once", "--interval", "500ms")
        assert done.returncode == 0 and done.stderr == "", done
        for shown in ("primary pg0", "read_safe", "pg1", "SELECT count", "BATCHES/S", "MS/S"):
            assert shown in done.stdout
        done = run("--config", proxy.config, "--once", "--json", "--interval", "500ms")
        frame = json.loads(done.stdout)
        assert frame["statements_per_s"] > 0 and frame["digests"][0]["calls_per_s"] > 0
        assert {(route["target"], route["reason"]) for route in frame["traffic"] if route["per_s"] > 0} >= {("replica", "read_safe")}
        assert [server["role"] for server in frame["servers"]].count("primary") == 1


def test_json_goes_on(proxy):
    with subprocess.Popen([BINARY, "top", "--config", str(proxy.config), "--json", "--interval", "100ms"], stdout=subprocess.PIPE) as running:
        assert all("traffic" in json.loads(running.stdout.readline()) for _ in range(3))
        running.stdout.close()  # whoever reads is gone
        assert running.wait(20) in (0, -signal.SIGPIPE)


def test_live(proxy, terminal):
    terminal.read_until("\x1b[?1049h")
    with traffic(proxy):
        terminal.read_until("SELECT count")
        terminal.read_until("read_safe")
    terminal.resize(10, 40, terminal.process)
    terminal.read_until("\x1b[J")
    frame = terminal.read_until("\x1b[J") + terminal.read_until("\x1b[J")
    last = frame.rsplit("\x1b[H", 1)[1].removesuffix("\x1b[J")
    lines = last.replace("\x1b[K", "").replace("\x1b[7m", "").replace("\x1b[0m", "").replace("\r", "").split("\n")
    assert len(lines) <= 10 and max(map(len, lines)) <= 40
    os.write(terminal.master, b"xq")
    assert terminal.end() == b""


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl+C"])
def test_the_terminal_is_as_it_was(terminal, how):
    terminal.read_until("primary pg0")
    if how == "Ctrl+C":
        os.write(terminal.master, b"\x03")
    else:
        terminal.process.terminate()
    terminal.end()


def test_it_says_that_nobody_answers(make_waypost):
    proxy = make_waypost()
    seen = Terminal("top", "--config", str(proxy.config), "--interval", "200ms")
    try:
        seen.read_until("primary pg0")
        proxy.stop()
        assert "primary pg0" in seen.read_until("No answer since") + seen.read_until("\x1b[J")
        os.write(seen.master, b"q")
        seen.end()
    finally:
        seen.close()
    assert run("--url", f"http://127.0.0.1:{proxy.admin_port}", "--once").returncode == 69


def test_what_it_does_not_take(proxy):
    done = run("--config", proxy.config)
    assert done.returncode == 64 and "no terminal" in done.stderr
    for interval in ("1ms", "nonsense", "2h"):
        assert run("--config", proxy.config, "--interval", interval).returncode == 64
