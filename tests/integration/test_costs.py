"""One client must not cost the others: what it sends takes processor time in proportion to its length, in small turns."""

import itertools
import pathlib
import threading
import time

import pytest
import waypost as waypost_process
import wire

# Twice as much is twice the work; a square is four times as much.
MOST_PER_DOUBLING = 3.0
# What a run costs beside its length: a wake-up more or less, another page.
FLOOR_SECONDS = 0.01
# The least of so many runs counts, by turns: what else the machine does makes a run dearer, never cheaper.
RUNS, MOST_RUNS = 2, 12

turns = itertools.count()


def names(n, message):
    """`message` of n names that no run before had, of one length: a text that is known already costs less."""
    turn = next(turns)
    return b"".join(message(f"n{turn:03}_{i:06}") for i in range(n))


PIPELINES = {
    "parses": lambda n: names(n, lambda x: wire.parse(x, "SELECT 1")) + wire.sync(),
    "parses and closes, then an error": lambda n: names(n, lambda x: wire.parse(x, "SELECT 1") + wire.close("S", x))
    + wire.parse("", "SELECT wrong")
    + wire.sync(),
    "closes": lambda n: names(n, lambda x: wire.close("S", x)) + wire.sync(),
    "parses behind an error": lambda n: wire.parse("", "SELEC") + names(n, lambda x: wire.parse(x, "SELECT 1")) + wire.sync(),
    "deallocations": lambda n: names(n, lambda x: wire.parse("", f"DEALLOCATE {x}") + wire.bind("", "") + wire.execute())
    + wire.sync(),
    "binds": lambda n: wire.parse("s", "SELECT 1") + names(n, lambda x: wire.bind(x, "s")) + wire.sync(),
    "runs of named portals": lambda n: wire.parse("", "SELECT 1")
    + names(n, lambda x: wire.bind(x, "") + wire.execute(x) + wire.close("P", x))
    + wire.sync(),
    "descriptions": lambda n: wire.parse("s", "SELECT 1") + wire.describe("S", "s") * n + wire.sync(),
    "portals that are closed": lambda n: names(n, lambda x: wire.close("P", x)) + wire.sync(),
    "syncs": lambda n: wire.sync() * n,
    "copy data outside a COPY": lambda n: wire.close("S", "") * n + wire.copy_data("") * n + wire.sync(),
    "flushes": lambda n: wire.parse("", "SELECT 1") + (wire.bind("", "") + wire.execute() + wire.flush()) * n + wire.sync(),
}


@pytest.fixture(scope="module")
def one_worker(cluster):
    sections = {"top": {"workers": 1}, "limits": {"session_statement_names": 1_000_000}}
    with waypost_process.running(cluster, sections=sections) as made:
        yield made


def cpu_seconds(waypost):
    """What its threads have used, in nanoseconds by the scheduler's own account; virtual machines count no instructions."""
    tasks = pathlib.Path(f"/proc/{waypost.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def send_all(conn, data, mark):
    """Sends `data` and a query that returns `mark`, and reads all answers up to that."""
    sender = threading.Thread(target=conn.sock.sendall, args=(data + wire.query(f"SELECT '{mark}'"),), daemon=True)
    sender.start()
    seen = b""
    while mark.encode() not in seen:
        got = conn.sock.recv(1 << 20)
        assert got, f"closed after {seen[-300:]!r}"
        seen = seen[-1000:] + got
    sender.join()


def cost(waypost, data):
    conn = waypost.connect(database="bench")
    before = cpu_seconds(waypost)
    send_all(conn, data, f"mark{time.monotonic_ns()}")
    spent = cpu_seconds(waypost) - before
    conn.sock.close()
    return spent


def linear(costs):
    return all(more <= less * MOST_PER_DOUBLING + FLOOR_SECONDS for less, more in zip(costs, costs[1:]))


def check_linear(waypost, make, n):
    least = [float("inf")] * 3
    for run in range(MOST_RUNS):
        for i, size in enumerate((n, 2 * n, 4 * n)):
            least[i] = min(least[i], cost(waypost, make(size)))
        if run >= RUNS - 1 and linear(least):
            return
    raise AssertionError(f"seconds at n, 2n, 4n: {least}")


@pytest.mark.proxy
@pytest.mark.parametrize("kind", PIPELINES)
def test_long_pipeline_costs_as_much_as_it_is_long(one_worker, kind):
    check_linear(one_worker, PIPELINES[kind], 15000)


SETS = {
    "settings in one text": lambda n: wire.query(";".join(f"SET a.b{i} = 1" for i in range(n))),
    "settings of a transaction": lambda n: wire.query("BEGIN;" + ";".join(f"SET LOCAL a.b{i} = 1" for i in range(n)) + ";COMMIT"),
    "settings that are reset": lambda n: wire.query(";".join(f"SET a.b{i} = 1;RESET a.c{i}" for i in range(n))),
    "one setting again and again": lambda n: wire.query(";".join(f"SET a.b = {i}" for i in range(20 * n))),
    "savepoints": lambda n: wire.query("BEGIN;" + ";".join(f"SAVEPOINT s{i}" for i in range(n)) + ";ROLLBACK"),
    "nested comments": lambda n: wire.query("SELECT 1 " + "/*" * (6 * n) + "*/" * (6 * n)),
    "operators": lambda n: wire.query("SELECT 1 " + "+" * (20 * n) + " 1"),
}


@pytest.mark.proxy
@pytest.mark.parametrize("kind", SETS)
def test_long_text_costs_as_much_as_it_is_long(one_worker, kind):
    check_linear(one_worker, SETS[kind], 500)


def refused(conn, sql, sqlstate):
    with pytest.raises(wire.ServerError) as caught:
        conn.rows(sql)
    assert caught.value.sqlstate == sqlstate
    return caught.value


@pytest.mark.proxy
def test_what_a_session_keeps_is_bounded_and_the_session_goes_on(one_worker, make_waypost):
    limits = {"session_statements": "64kB", "session_settings": "16kB", "session_savepoints": 20, "session_portals": 20}
    waypost = make_waypost(sections={"limits": limits})
    with waypost.connect(database="bench") as conn:
        for n in range(12):
            conn.rows(f"SET a.b{n} = '{'x' * 1000}'")
        assert "session_settings" in refused(conn, "SET a.more = '" + "x" * 6000 + "'", "53200").fields["D"]
        conn.rows("RESET a.b1")
        conn.rows("SET a.b2 = 'short'")
        assert conn.rows("SHOW a.b2") == [["short"]]
        refused(conn, "BEGIN;" + ";".join(f"SAVEPOINT s{n}" for n in range(21)), "53200")
        for n in range(60):
            conn.rows(f"PREPARE p{n} AS SELECT 1 /* {'x' * 500} */")
        assert "session_statements" in refused(conn, f"PREPARE p AS SELECT 1 /* {'x' * 30000} */", "53200").fields["D"]
        conn.rows("DEALLOCATE ALL")
        conn.rows(f"PREPARE p AS SELECT 1 /* {'x' * 30000} */")
        assert conn.rows("EXECUTE p") == [["1"]]


@pytest.mark.proxy
def test_names_of_statements_are_counted_however_they_are_given(make_waypost):
    waypost = make_waypost(sections={"limits": {"session_statement_names": 3}})
    with waypost.connect(database="bench") as conn:
        conn.rows("PREPARE a AS SELECT 1")
        conn.send(wire.parse("b", "SELECT 2"), wire.parse("c", "SELECT 3"), wire.sync())
        conn.until()
        assert "session_statement_names" in refused(conn, "PREPARE d AS SELECT 4", "53200").fields["D"]
        conn.send(wire.parse("", "SELECT 5"), wire.parse("d", "SELECT 4"), wire.sync())
        assert [wire.error_fields(m.body)["C"] for m in conn.until() if m.type == "E"] == ["53200"]
        # Of many that are refused the first is answered, and what stands behind them is skipped.
        conn.send(*(wire.parse(f"many{n}", "SELECT 6") for n in range(5_000)), wire.sync())
        (told,) = [wire.error_fields(m.body) for m in conn.until() if m.type == "E"]
        assert told["C"] == "53200" and "session_statement_names" in told["D"]
        # What one batch closes and names anew counts once.
        conn.send(wire.close("S", "b"), wire.parse("d", "SELECT 4"), wire.sync())
        conn.until()
        assert conn.rows("EXECUTE d") == [["4"]] and conn.rows("EXECUTE c") == [["3"]]
        conn.rows("DEALLOCATE ALL")
        conn.send(*(wire.parse(f"n{n}", "SELECT 1") for n in range(3)), wire.sync())
        conn.until()
        assert conn.rows("SELECT count(*) FROM pg_prepared_statements") == [["3"]]


@pytest.mark.rss
@pytest.mark.proxy
def test_values_that_are_gone_take_no_memory(one_worker):
    with one_worker.connect(database="bench") as conn:
        conn.rows("SET a.b = '" + "x" * 200_000 + "'")
        before = one_worker.rss_bytes()
        for n in range(300):
            conn.rows(f"SET a.b = '{n}{'x' * 200_000}'")
        assert one_worker.rss_bytes() - before < 30 << 20


@pytest.mark.proxy
@pytest.mark.parametrize("tie", ["SELECT 1", "CREATE TEMP TABLE tie ()"])
@pytest.mark.parametrize(("count", "size"), [(5000, 10), (60, 800_000)])
def test_a_server_connection_does_not_pile_up_statements(cluster, make_waypost, tie, count, size):
    """What one client prepares and closes, on one connection."""
    proxy = make_waypost(sections={"top": {"workers": 1}, "pool": {"max_size": 1}})
    with proxy.connect(database="bench", timeout=60.0) as conn:
        conn.rows(tie)
        batch = max(1, min(100, (1 << 20) // size))
        for first in range(0, count, batch):
            names = [f"s{i}" for i in range(first, first + batch)]
            texts = [wire.parse(name, f"SELECT '{name}' /* {'x' * size} */") + wire.close("S", name) for name in names]
            conn.send(b"".join(texts) + wire.sync())
            assert not wire.sqlstates(conn.until())
        there = "SELECT count(*), coalesce(sum(length(statement)), 0) FROM pg_prepared_statements"
        statements, length = map(int, conn.rows(there)[0])
        assert statements <= 1100 and length < 10 << 20


@pytest.mark.rss
@pytest.mark.proxy
def test_long_statements_that_are_gone_take_no_memory(make_waypost):
    proxy = make_waypost(sections={"top": {"workers": 1}})
    with proxy.connect(database="bench") as conn:
        conn.rows("SELECT 1")
    before = proxy.rss_bytes()
    with proxy.connect(database="bench", timeout=60.0) as conn:
        for n in range(70):
            conn.send(wire.parse(f"s{n}", f"SELECT {n} /* {'x' * 900_000} */") + wire.sync())
            assert not wire.sqlstates(conn.until())
        conn.rows("SELECT 1")
    assert waypost_process.eventually(lambda: proxy.rss_bytes() - before < 25 << 20, 10, "given back")
