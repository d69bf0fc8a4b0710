"""A long text is analysed on a thread of its own: its own client alone waits for that."""

import pathlib
import threading
import time

import pytest
import waypost as waypost_process
import wire

MEGABYTE = 1 << 20
pytestmark = pytest.mark.proxy


@pytest.fixture(scope="module")
def one_worker(cluster):
    with waypost_process.running(cluster, sections={"top": {"workers": 1}}) as made:
        yield made


def filled(start, piece, end="", size=MEGABYTE - 100):
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


TEXTS = {
    "terms": filled("SELECT 1", "+1"),
    "columns": filled("SELECT 1", ",1", " LIMIT 0"),
    "rows": filled("SELECT count(*) FROM (VALUES (1)", ",(1)", ") v"),
    "names": filled("SELECT 1 WHERE a.a", "=a.a", ""),
    "calls": filled("SELECT 1", "+abs(1)"),
    "not understood": filled("SELECT 1 ", "(1 ", ""),
    "statements": filled("SELEC", ";SELECT"),
    "many statements": filled("SELECT 1", ";SELECT 1", size=200_000),
    "tables": filled("SELECT 1 FROM probe_me", ",probe_me"),
}


def seconds_by_thread(waypost):
    """{name of the thread: processor time}, those of one name together."""
    spent = {}
    for task in pathlib.Path(f"/proc/{waypost.process.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        spent[name] = spent.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return spent


def answer(conn, data):
    """Sends `data`, which ends with a Sync or is a Query, and reads all that comes for it."""
    threading.Thread(target=conn.sock.sendall, args=(data,), daemon=True).start()
    return "".join(message.type for message in conn.until())


@pytest.mark.seconds
@pytest.mark.parametrize("kind", TEXTS)
def test_others_do_not_pay_for_a_long_text(one_worker, kind):
    conn = one_worker.connect(database="bench", timeout=60.0)
    before = seconds_by_thread(one_worker)
    answer(conn, wire.query(TEXTS[kind]))
    after = seconds_by_thread(one_worker)
    spent = {name: after[name] - before.get(name, 0) for name in after}
    conn.sock.close()
    reader = spent.pop("waypost-sql")
    assert sum(spent.values()) < reader + 0.02, f"reader {reader} s, others {spent}"


def test_what_comes_behind_a_long_text_runs_behind_it(one_worker):
    long = "/* " + "x" * 20_000 + " */ "
    with one_worker.connect(database="bench") as conn:
        data = b"".join(wire.query(f"{long if i % 3 == 0 else ''}SELECT {i}") for i in range(30))
        threading.Thread(target=conn.sock.sendall, args=(data,), daemon=True).start()
        assert wire.rows(conn.until(count=30)) == [[str(i)] for i in range(30)]


def test_long_texts_in_a_series(one_worker):
    long = "/* " + "x" * 20_000 + " */ "
    with one_worker.connect(database="bench") as conn:
        run = wire.bind("", "") + wire.execute()
        series = wire.parse("", "SELECT 1") + run + wire.parse("", f"{long}SELECT 2") + run + wire.parse("", "SELECT 3") + run
        assert answer(conn, series + wire.sync()) == "12DC" * 3 + "Z"
        # Behind an error it is skipped, wherever that is noticed.
        failing = wire.parse("", "SELECT 1/0") + run + wire.parse("", f"{long}SELECT 2") + run
        assert answer(conn, failing + wire.sync()) == "1EZ"  # found when it is planned
        assert conn.rows("SELECT 4") == [["4"]]
        # Prepared once, it is known by its name.
        assert answer(conn, wire.parse("p", f"{long}SELECT 5") + wire.sync()) == "1Z"
        assert answer(conn, (wire.bind("", "p") + wire.execute()) * 3 + wire.sync()) == "2DC" * 3 + "Z"


def test_the_same_long_text_again(one_worker):
    text = "SELECT 1 /* " + "x" * 10_000 + " */"
    with one_worker.connect(database="bench") as conn, one_worker.connect(database="bench") as other:
        for _ in range(3):
            assert conn.rows(text) == [["1"]]
            assert other.rows(text) == [["1"]]


def test_explain_route_of_a_long_text(one_worker):
    with one_worker.connect(database="bench") as conn:
        assert conn.rows("EXPLAIN ROUTE SELECT 1 /* " + "x" * 20_000 + " */")


def test_clients_leave_while_their_texts_are_read(one_worker):
    text = wire.query(TEXTS["terms"])
    for _ in range(5):
        leaving = [one_worker.connect(database="bench") for _ in range(4)]
        for conn in leaving:
            conn.sock.sendall(text)
        for conn in leaving:
            conn.sock.close()
    with one_worker.connect(database="bench") as conn:
        assert conn.rows("SELECT 1 /* " + "x" * 20_000 + " */") == [["1"]]


def test_waypost_stops_while_texts_are_read(cluster):
    with waypost_process.running(cluster, sections={"top": {"workers": 1}}) as waypost:
        conns = [waypost.connect(database="bench") for _ in range(4)]
        for conn in conns:
            conn.sock.sendall(wire.query(TEXTS["terms"]))
        time.sleep(0.01)
        for conn in conns:
            conn.sock.close()


def test_a_cancel_request_meanwhile_is_for_that_text(one_worker):
    with one_worker.connect(database="bench", timeout=60.0) as first, one_worker.connect(database="bench", timeout=60.0) as conn:
        first.sock.sendall(wire.query(TEXTS["calls"]))  # the reader is at work
        conn.sock.sendall(wire.query("SELECT pg_sleep(50) /* " + "x" * 20_000 + " */"))
        time.sleep(0.02)
        assert wire.sqlstates(conn.until_cancelled()) == ["57014"]
        assert conn.rows("SELECT 7") == [["7"]]
        first.until()
