"""The admin port answers whatever others do to it, and refuses what is not plain HTTP."""

import contextlib
import json
import socket
import threading
import time

import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def opened(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    return sock


def ask(port, request):
    """(status, text) of the answer to the bytes `request`; the status is 0 if there is none."""
    with opened(port) as sock:
        data = b""
        with contextlib.suppress(ConnectionError):
            sock.sendall(request)
        with contextlib.suppress(ConnectionError):
            while part := sock.recv(65536):
                data += part
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.1 ") else 0, data.decode()


class Load:
    """Threads that call a function again and again until the end."""

    def __init__(self):
        self.ends, self.threads, self.failed = threading.Event(), [], []

    def run(self, function, pause):
        def again():
            while not self.ends.wait(pause):
                try:
                    function()
                except OSError:
                    pass  # it gave way
                except Exception as error:  # noqa: BLE001
                    self.failed.append(error)

        self.threads.append(threading.Thread(target=again, daemon=True))
        self.threads[-1].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.failed, self.failed[:3]


@pytest.mark.seconds
def test_readyz_answers_whatever_others_do(make_waypost):
    proxy = make_waypost()
    port = proxy.admin_port
    costly = json.dumps({"sql": "SELECT " + "a+" * 400_000 + "1"}).encode()
    question = b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(costly)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(opened(port)) for _ in range(200)]
        dripping = [stack.enter_context(opened(port)) for _ in range(200)]
        assert len(silent) == 200
        stuck = [stack.enter_context(opened(port)) for _ in range(20)]
        for sock in stuck:  # they ask for much, and read nothing
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        load = stack.enter_context(Load())
        rest = iter(range(10**9))

        def drip():
            i = next(rest) % len(dripping)
            try:
                dripping[i].send(b"G" if i % 2 else b"X: ")
            except OSError:
                dripping[i].close()
                dripping[i] = stack.enter_context(opened(port))

        load.run(drip, 0.002)
        load.run(lambda: ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), 0.01)
        for _ in range(2):
            load.run(lambda: ask(port, question), 0)
        took = []
        until = time.monotonic() + 5
        while time.monotonic() < until:
            began = time.monotonic()
            status, _ = ask(port, READY)
            took.append(time.monotonic() - began)
            assert status == 200
            time.sleep(0.01)
    took.sort()
    assert took[len(took) // 2] < 0.05 and took[-1 - len(took) // 100] < 0.1, f"{len(took)} times, {took[-5:]}"
    assert len(proxy.metrics()) > 100


def test_silent_connections_give_way_and_take_no_descriptors(make_waypost):
    proxy = make_waypost()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(opened(proxy.admin_port))
        for _ in range(150):
            stack.enter_context(opened(proxy.admin_port))
        assert ask(proxy.admin_port, READY)[0] == 200
        first.settimeout(5)
        assert first.recv(1) == b"", "the oldest silent connection gives way"


def test_a_request_that_does_not_come_ends(waypost):
    begins = [b"", b"GET /he", b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"]
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(opened(waypost.admin_port)) for _ in begins]
        began = time.monotonic()
        for sock, begin in zip(socks, begins, strict=True):
            sock.sendall(begin)
        for sock in socks:
            sock.settimeout(8)
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""
            assert 3 < time.monotonic() - began < 8


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/route HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz%00x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\nX: y\r\n\r\n",
    ],
)
def test_requests_that_could_be_read_in_two_ways_are_refused(waypost, request_head):
    """And nothing that follows on the same connection is taken for a request."""
    status, text = ask(waypost.admin_port, request_head + READY)
    assert status in (0, 400, 413) or not text, text[:200]
    assert "HTTP/1.1 200" not in text


def test_a_foreign_host_is_refused(waypost):
    request = b"GET /api/v1/status HTTP/1.1\r\nHost: %s\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n"
    status, text = ask(waypost.admin_port, request % b"evil.example:8432")
    assert status == 421 and "allowed_hosts" in text
    status, text = ask(waypost.admin_port, request % b"127.0.0.1:8432")
    assert status == 200 and "Access-Control" not in text


def test_a_long_statement_is_answered_in_time(waypost):
    for sql in ("/*" * 250_000, "select " + "-+" * 200_000 + "1", "select 1;" * 5_000, "select '" + "''" * 300_000):
        began = time.monotonic()
        status, body = waypost.get("/api/v1/route", {"sql": sql, "database": "openfire"}, timeout=30)
        assert status == 200 and json.loads(body)["target"] in ("primary", "replica")
        assert time.monotonic() - began < 8
    assert waypost.get("/api/v1/route", {"sql": "x" * 1_100_000})[0] == 413


def test_connections_are_kept_for_more_requests(waypost):
    with wire.Wire("127.0.0.1", waypost.admin_port) as conn:
        for _ in range(3):
            conn.send(READY.replace(b"Connection: close\r\n", b""))
            data = b""
            while not data.endswith(b"ok\n"):
                data += conn.sock.recv(4096)
            assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert eventually(lambda: waypost.get("/healthz")[0] == 200)
