"""CancelRequest reaches the statement of the client that owns the key, and no other."""

import threading
import time

import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.majors


def running(cluster, marker):
    """How many statements with this marker the servers are running now."""
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{marker}%' AND pid <> pg_backend_pid()"
    return sum(int(cluster.sql(sql, server=name)[0][0]) for name in cluster.ports)


def start_sleeping(cluster, conn, marker, seconds=30):
    conn.send(wire.query(f"SELECT pg_sleep({seconds}), '{marker}'"))
    eventually(lambda: running(cluster, marker), what="the statement runs")


def test_own_statement_only(cluster, waypost, marker):
    with waypost.connect(timeout=40) as victim, waypost.connect(timeout=40) as other:
        start_sleeping(cluster, other, marker + "other", 3)
        start_sleeping(cluster, victim, marker)
        start = time.monotonic()
        victim.cancel()
        assert wire.sqlstates(victim.until()) == ["57014"]
        assert time.monotonic() - start < 5
        assert wire.sqlstates(other.until()) == []
        assert victim.value("SELECT 'lives on'") == "lives on"


def test_write_and_extended(cluster, waypost, marker):
    with waypost.connect(timeout=40) as conn:
        conn.rows("BEGIN")
        conn.send(wire.parse("", f"SELECT pg_sleep(30), pg_is_in_recovery(), '{marker}'"), wire.bind("", ""))
        conn.send(wire.execute(), wire.sync())
        eventually(lambda: running(cluster, marker), what="the statement runs")
        conn.cancel()
        replies = conn.until()
        assert wire.sqlstates(replies) == ["57014"] and replies[-1].body == b"E"
        conn.rows("ROLLBACK")


@pytest.mark.parametrize("version", [wire.PROTOCOL_3_0, wire.PROTOCOL_3_2], ids=["3.0", "3.2"])
def test_a_key_is_as_long_as_the_protocol_has_it(cluster, waypost, marker, version):
    """4 bytes in 3.0; 32 in 3.2, where the primary speaks it."""
    with cluster.connect(version=version) as direct, waypost.connect(timeout=40, version=version) as conn:
        assert len(conn.key) == len(direct.key)
        start_sleeping(cluster, conn, marker)
        right = conn.key
        for wrong in (b"", right[:-1], right + b"x", bytes(4), bytes(32), bytes(300)):
            conn.key = wrong
            conn.cancel()
        assert running(cluster, marker)
        conn.key = right
        conn.cancel()
        assert wire.sqlstates(conn.until()) == ["57014"]


def test_idle_client(waypost):
    with waypost.connect() as conn:
        for _ in range(20):
            conn.cancel()
            assert conn.value("SELECT 1") == "1"


def test_many_clients_over_all_workers(cluster, waypost, marker):
    crowd = [waypost.connect(timeout=40) for _ in range(60)]  # nearly as many as one worker takes alone
    conns = [waypost.connect(timeout=40) for _ in range(16)]
    for number, conn in enumerate(conns):
        conn.send(wire.query(f"SELECT pg_sleep(30), '{marker}x{number}x'"))
    eventually(lambda: running(cluster, marker) == 16, what="all run")
    for conn in conns[::2]:
        conn.cancel()
    for conn in conns[::2]:
        assert wire.sqlstates(conn.until()) == ["57014"]
    assert running(cluster, marker) == 8
    for conn in conns[1::2]:
        conn.cancel()
        assert wire.sqlstates(conn.until()) == ["57014"]
        conn.shut()
    for conn in crowd + conns:
        conn.shut()


@pytest.mark.proxy
@pytest.mark.threads
def test_a_late_cancel_never_hits_the_next_client(make_waypost):
    """One server connection for two clients: one cancels statements that have just ended, the other must not notice."""
    proxy = make_waypost(sections={"server": {"max_connections": 1}, "top": {"workers": 1}})
    stop, innocent_errors, done = threading.Event(), [], []

    def innocent():
        with proxy.connect(timeout=40) as conn:
            while not stop.is_set():
                innocent_errors.extend(wire.sqlstates(conn.simple("SELECT pg_is_in_recovery(), pg_sleep(0.001)")))
                done.append(1)

    thread = threading.Thread(target=innocent)
    thread.start()
    try:
        with proxy.connect(timeout=40) as conn:
            for _ in range(150):
                canceller = threading.Thread(target=conn.cancel)
                canceller.start()
                assert wire.sqlstates(conn.simple("SELECT pg_is_in_recovery()")) in ([], ["57014"])
                canceller.join(20)
    finally:
        stop.set()
        thread.join(30)
    assert innocent_errors == [] and done


@pytest.mark.proxy
def test_waiting_client(make_waypost):
    """Cancelled while it waits for a server connection."""
    proxy = make_waypost(sections={"server": {"max_connections": 1}, "top": {"workers": 1}})
    with proxy.connect() as holder, proxy.connect() as waiter:
        holder.rows("BEGIN")
        holder.rows("SELECT pg_is_in_recovery()")
        waiter.send(wire.query("INSERT INTO probe_me VALUES (-20, 'waits')"))
        eventually(lambda: waiter.cancel() or _answered(waiter), 10, "an answer to the cancelled one")
        assert wire.sqlstates(waiter.until()) == ["57014"]
        holder.rows("ROLLBACK")
        assert waiter.value("SELECT count(*) FROM probe_me WHERE id = -20") == "0"


def _answered(conn):
    conn.sock.settimeout(0.2)
    try:
        chunk = conn.sock.recv(65536)
        conn.buffer += chunk
        return bool(chunk)
    except TimeoutError:
        return False
    finally:
        conn.sock.settimeout(15)


