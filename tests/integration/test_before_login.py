"""What those who have not logged in can do to the others: take their places, their descriptors, the log."""

import contextlib
import re
import socket
import time

import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

ALICE = [{"name": "openfire", "password": "openfire"}, {"name": "alice", "password": "alice", "max_clients": 1}]


@contextlib.contextmanager
def silent(port, count, first=b""):
    """So many connections that send `first` and then nothing."""
    socks = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=15)
            sock.sendall(first)
            socks.append(sock)
        yield socks
    finally:
        for sock in socks:
            sock.close()


def refusal(sock):
    """The SQLSTATEs of what was said to this connection before it was closed."""
    conn = wire.Wire.__new__(wire.Wire)
    conn.sock, conn.buffer, conn.parameters = sock, b"", {}
    return wire.sqlstates(conn.drain())


def test_start_up_packets_lock_nobody_out(make_waypost):
    proxy = make_waypost(sections={"limits": {"max_clients": 3}}, users=ALICE)
    start = wire.startup_packet({"user": "alice", "database": "other"})
    with silent(proxy.port, 20, start), silent(proxy.port, 20, wire.startup_packet({"user": "openfire"})):
        with proxy.connect("alice", database="other") as alice, proxy.connect() as one, proxy.connect() as two:
            assert alice.value("SELECT 1") == one.value("SELECT 2 - 1") == two.value("SELECT 1") == "1"
            with pytest.raises(wire.ServerError) as refused:
                proxy.connect()
            assert refused.value.sqlstate == "53300"
            with pytest.raises(wire.ServerError) as refused:
                proxy.connect(password="wrong")
            assert refused.value.sqlstate == "28P01"
            with pytest.raises(wire.ServerError) as refused:
                proxy.connect("alice", database="other")
            assert refused.value.sqlstate == "53300"


@pytest.mark.parametrize("first", [b"", wire.startup_packet({"user": "openfire"}), b"\0"])
def test_who_says_nothing_makes_way(make_waypost, first):
    proxy = make_waypost(sections={"limits": {"max_logins": 10}, "top": {"workers": 1}})
    with proxy.connect() as before, silent(proxy.port, 10, first) as socks:
        for turn in range(3):
            with proxy.connect() as conn:
                assert conn.value(f"SELECT {turn}") == before.value(f"SELECT {turn}") == str(turn)
        assert refusal(socks[0]) == ["53300"]  # the oldest; those who came after him are in
        for sock in socks[1:]:
            sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                while sock.recv(1024):
                    pass


def test_a_flood_of_log_lines_is_counted(make_waypost):
    proxy = make_waypost(users=ALICE)
    with contextlib.ExitStack() as held:
        held.enter_context(proxy.connect("alice", database="other"))
        for _ in range(300):
            with pytest.raises(wire.ServerError):
                proxy.connect("alice", database="other")
    eventually(lambda: proxy.log().count("client_refused") >= 100, what="the lines of the log")
    assert proxy.log().count("client_refused") == 100
    assert proxy.stop() == 0  # nobody is refused any more
    told = re.findall(r"log_suppressed event=client_refused suppressed=(\d+)", proxy.log())
    assert sum(map(int, told)) == 200


def test_the_file_limit_is_left_to_those_who_are_logged_in(make_waypost):
    proxy = make_waypost(files=256, sections={"limits": {"login_timeout": "1m"}})
    told = re.search(r"file_limit_too_low found=256 needed=(\d+)", proxy.logged("file_limit_too_low"))
    assert told and int(told.group(1)) > 10_000
    with proxy.connect() as before, silent(proxy.port, 700):
        cpu, lines = proxy.cpu_seconds(), proxy.log().count("\n")
        assert before.rows("CREATE TEMP TABLE x (a int)") == []
        with proxy.connect() as conn, proxy.connect("openfire", database="bench") as other:
            assert conn.value("SELECT 1") == "1" and other.value("SELECT count(*) FROM probe_me") == "100"
        time.sleep(1)
        assert proxy.cpu_seconds() - cpu < 0.5
        assert proxy.log().count("\n") - lines < 300


@pytest.mark.exhausts
def test_without_any_descriptor_the_listener_rests(make_waypost):
    proxy = make_waypost(files=256, sections={"limits": {"login_timeout": "1m"}})
    # The admin port takes no more than the plan leaves to it, however many come.
    with proxy.connect() as before, silent(proxy.admin_port, 300):
        time.sleep(0.3)
        with silent(proxy.port, 100, wire.startup_packet({"user": "openfire"})) as socks:
            cpu, lines = proxy.cpu_seconds(), proxy.log().count("\n")
            time.sleep(2)
            assert proxy.cpu_seconds() - cpu < 0.6
            assert proxy.log().count("\n") - lines < 300
            assert before.value("SELECT 1") == "1"
            socks[0].settimeout(5)
            assert refusal(socks[0]) in (["53300"], [])
    with proxy.connect() as after:
        assert after.value("SELECT 1") == "1"
