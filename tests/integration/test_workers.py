"""Workers fill up one after another, and sessions go on on another one: no client can tell."""

import time

import pytest
import wire
from waypost import eventually

pytestmark = [pytest.mark.proxy, pytest.mark.threads]

FIRST_FILL = 64  # kClientsEach in core/env/crew.cc


def worker_of(conn):
    """By the process id of its cancel key: it names the worker that the client came to."""
    return conn.pid >> 24


@pytest.fixture
def proxy(make_waypost):
    return make_waypost(sections={"top": {"workers": 2}}, wait_for_split=True)


def test_clients_fill_one_worker_then_the_next(proxy):
    conns = [proxy.connect() for _ in range(FIRST_FILL + 20)]
    assert [worker_of(conn) for conn in conns[:FIRST_FILL]] == [0] * FIRST_FILL
    assert [worker_of(conn) for conn in conns[FIRST_FILL + 1 :]] == [1] * 19
    for conn in conns:
        assert conn.value("SELECT 1") == "1"
        conn.shut()


def test_sessions_go_to_the_worker_that_is_left(cluster, proxy, marker):
    """More clients than one worker takes at first; most leave, and those on the second one move to the first, as they are."""
    crowd = [proxy.connect() for _ in range(FIRST_FILL + 1)]
    late = [proxy.connect(application_name=f"late{number}") for number in range(6)]
    assert {worker_of(conn) for conn in late} == {1}
    for number, conn in enumerate(late):
        conn.rows(f"SET work_mem TO '{number + 1}MB'")
        conn.send(wire.parse("mine", f"SELECT {number}, current_setting('work_mem'), current_setting('application_name')"), wire.sync())
        conn.until()
    for conn in crowd:
        conn.shut()

    def all_moved():
        for number, conn in enumerate(late):
            conn.send(wire.bind("", "mine"), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [[str(number), f"{number + 1}MB", f"late{number}"]]
        return proxy.metric("waypost_sessions_moved_total") >= len(late)

    eventually(all_moved, 30, "all have moved")
    for conn in late:
        conn.send(wire.query(f"SELECT pg_sleep(30), '{marker}'"))
    eventually(lambda: sum(cluster.runs(marker).values()) >= len(late), what="they run")
    time.sleep(0.2)
    for conn in late:
        conn.cancel()
        assert wire.sqlstates(conn.until()) == ["57014"]
    # The names are taken, and free again; what was set is reset to what the client began with.
    first = late[0]
    first.send(wire.parse("mine", "SELECT 1"), wire.sync())
    assert wire.sqlstates(first.until()) == ["42P05"]
    first.send(wire.close("S", "mine"), wire.parse("mine", "SELECT 'again'"), wire.bind("", "mine"), wire.execute(), wire.sync())
    assert wire.rows(first.until()) == [["again"]]
    first.rows("RESET ALL")
    assert first.value("SHOW application_name") == "late0"
    first.rows("LISTEN heard")
    late[1].rows("NOTIFY heard")
    first.rows("SELECT 1")
    for conn in late:
        conn.shut()
    eventually(lambda: sum(proxy.metric("waypost_client_connections", state=state) for state in ("idle", "active", "waiting", "idle_in_transaction")) == 0, what="nobody is counted any more")


@pytest.mark.long
def test_a_client_beyond_max_clients_comes_in_after_one_that_moved_has_gone(make_waypost):
    """Who has moved counts once."""
    proxy = make_waypost(sections={"top": {"workers": 2}, "limits": {"max_clients": FIRST_FILL + 2}})
    conns = [proxy.connect() for _ in range(FIRST_FILL + 2)]
    last = conns.pop()
    assert worker_of(last) == 1
    for conn in conns:
        conn.shut()

    def moved():
        assert last.value("SELECT 1") == "1"
        return proxy.metric("waypost_sessions_moved_total") >= 1

    eventually(moved, 30, "it has moved")
    last.shut()
    time.sleep(0.2)
    again = [proxy.connect() for _ in range(FIRST_FILL + 2)]
    for conn in again:
        assert conn.value("SELECT 1") == "1"
        conn.shut()
