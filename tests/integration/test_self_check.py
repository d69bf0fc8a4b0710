"""self_check: reads on replicas run again on the primary and are compared, and no client can tell."""

import json
import threading
import time

import pytest
import wire
from cluster import NAMES, REPLICAS, new_marker
from test_fence import asynchronous, both_synchronous, replay_paused, table  # noqa: F401
from waypost import eventually

pytestmark = pytest.mark.proxy

AUDITED = "audited"
HELD_BYTES = 64 * 1024  # core/session/session.h


def audited(make_waypost, consistency="strict", **config):
    """A Waypost that checks every read of the application `audited`, and no other."""
    sections = {
        "routing": {"read_from": "streaming", "consistency": consistency},
        "application": [{"name": AUDITED, "self_check": 1.0}],
        **config.pop("sections", {}),
    }
    return make_waypost(sections=sections, wait_for_split=True, **config)


def connect(proxy):
    return proxy.connect(application_name=AUDITED)


def outcomes(proxy):
    names = ("same", "stale", "changed", "unsteady", "too_long", "error", "elsewhere", "failed")
    return {name: proxy.metric("waypost_self_checks_total", outcome=name) for name in names}


def test_a_stale_answer_is_found_and_not_given(cluster, make_waypost, table):  # noqa: F811
    with asynchronous(cluster):
        proxy = audited(make_waypost, "eventual", sections={"top": {"workers": 1}})
        sql = f"SELECT count(*) FROM {table} WHERE id = 471147"
        with proxy.connect() as writer, proxy.connect() as reader, connect(proxy) as checked, replay_paused(cluster, *REPLICAS):
            for i in range(1, 1000):
                writer.rows(f"INSERT INTO {table} VALUES (471147)")
                assert checked.value(sql) == str(i)
                assert checked.value(sql) == str(i)
                assert reader.value(sql) == "0"
                if outcomes(proxy)["stale"] >= 5:
                    break
                time.sleep(0.05)  # what moved the position meanwhile will not do so for ever
            seen = outcomes(proxy)
            assert seen["stale"] >= 5 and seen["same"] == 0, seen
            assert seen["stale"] == proxy.metric("waypost_stale_reads_total")
            by_server = {name: proxy.metric("waypost_stale_reads_total", server=name) for name in NAMES}
            assert by_server["pg0"] == 0 and sum(by_server.values()) == seen["stale"], by_server
            replicas = [s for s in json.loads(proxy.get("/api/v1/servers")[1])["servers"] if s["role"] == "replica"]
            assert sum(s["self_checks"]["stale"] for s in replicas) == seen["stale"]
            complaints = [line for line in proxy.logged("stale_read").splitlines() if "stale_read" in line]
            assert len(complaints) == 1, complaints
            assert f"SELECT count(*) FROM {table} WHERE id = ?" in complaints[0]
            assert "warning" in complaints[0] and "471147" not in proxy.log()
        with connect(proxy) as checked:
            eventually(lambda: checked.value(sql) and outcomes(proxy)["same"] > 0, 10, "the same again")


@pytest.mark.parametrize("synchronous", [True, False])
def test_strict_reads_are_never_stale(cluster, make_waypost, table, synchronous):  # noqa: F811
    """Also while others write, and where a replica shows a commit before the primary does."""

    def run():
        proxy = audited(make_waypost)
        stop = threading.Event()

        def write():
            with proxy.connect() as writer:
                i = 0
                while not stop.is_set():
                    writer.rows(f"INSERT INTO {table} VALUES ({i})")
                    i += 1
                    time.sleep(0.004 * (i % 5))

        with connect(proxy) as reader:
            for _ in range(100):
                reader.rows(f"SELECT count(*), max(id) FROM {table}")
            assert outcomes(proxy)["same"] >= 90, outcomes(proxy)
            writing = threading.Thread(target=write)
            writing.start()
            last = 0
            try:
                for _ in range(600):
                    now = int(reader.value(f"SELECT count(*) FROM {table}"))
                    assert now >= last
                    last = now
            finally:
                stop.set()
                writing.join()
        seen = outcomes(proxy)
        assert seen["stale"] == 0 and proxy.metric("waypost_stale_reads_total") == 0, seen
        assert seen["same"] >= 200, seen
        assert "stale_read" not in proxy.log()

    if synchronous:
        return run()
    with asynchronous(cluster):
        run()


def test_a_read_that_the_fence_refutes_is_checked_when_it_is_proved(cluster, make_waypost, table):  # noqa: F811
    """What is written past Waypost is known by the fence alone: answers are thrown away, those given are compared."""
    proxy = audited(make_waypost, sections={"top": {"workers": 1}})
    reads = [0]
    stop = threading.Event()

    def write():
        with cluster.connect(user="openfire", password="openfire") as past:
            while not stop.wait(0.02):
                past.rows(f"INSERT INTO {table} VALUES (1)")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        with connect(proxy) as reader:

            def refuted():
                for _ in range(50):
                    reader.rows(f"SELECT count(*) FROM {table}")
                    reads[0] += 1
                return proxy.metric("waypost_fence_thrown_away_total") >= 10

            eventually(refuted, 30, "answers that are thrown away")
    finally:
        stop.set()
        writing.join()
    seen = outcomes(proxy)
    assert seen["failed"] == seen["error"] == seen["stale"] == 0, seen
    # Each read that a replica answered was checked, the refuted ones too.
    assert sum(seen.values()) - seen["elsewhere"] >= proxy.metric("waypost_self_checks_total") - seen["elsewhere"] > 0.8 * reads[0], (seen, reads)


CLOCKS = [
    "now()", "clock_timestamp()", "statement_timestamp()", "current_timestamp(0)", "localtime(0)", "now()::timestamp(0)",
    "date_trunc('second', now())", "'now'::timestamp(0)", "random()", "random() < 0.5", "(random() * 3)::int",
    "gen_random_uuid()", "extract(second from clock_timestamp())::int", "timeofday()",
]  # fmt: skip


def test_what_asks_the_clock_or_chance_is_not_stale(make_waypost):
    proxy = audited(make_waypost)
    with connect(proxy) as conn:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for clock in CLOCKS:
                conn.rows(f"SELECT {clock}, count(*) FROM probe_me")
                conn.send(wire.parse("", f"SELECT {clock}, t FROM probe_me WHERE id < $1"), wire.bind("", "", [3]))
                conn.send(wire.execute(), wire.sync())
                assert len(wire.rows(conn.until())) == 2
            # A time that comes as a parameter.
            conn.send(wire.parse("", "SELECT $1::timestamp(0), t FROM probe_me WHERE id = 1", [25]), wire.bind("", "", ["now"]))
            conn.send(wire.execute(), wire.sync())
            assert len(wire.rows(conn.until())) == 1
        seen = outcomes(proxy)
        assert seen["unsteady"] > 100 and seen["stale"] == 0, seen


def script():
    """Batches of a session, each what is sent up to its ReadyForQuery."""
    extended = [wire.bind("", "", [50]), wire.describe("P", ""), wire.execute(), wire.sync()]
    return [
        [wire.query("SELECT id, t FROM probe_me ORDER BY id LIMIT 10")],
        [wire.query("SELECT count(*) FROM probe_me; SELECT max(id) FROM probe_me")],
        [wire.query("SELECT t FROM probe_me WHERE id = 0")],
        [wire.query("SELECT 1 / (id - id) FROM probe_me")],
        [wire.query("SELECT id, 1 / (50 - id) FROM probe_me ORDER BY id")],  # rows, then an error
        [wire.query("SELECT nothing FROM probe_me")],
        [wire.query("SELECT count(*) FROM probe_me; SELECT 1 / (id - id) FROM probe_me")],
        [wire.parse("", "SELECT count(*) FROM probe_me WHERE id > $1", [23]), *extended],
        extended,  # the unnamed statement is still there
        [wire.query("SELECT count(*) FROM probe_me")],
        extended,  # and is gone now
        [wire.parse("s", "SELECT id FROM probe_me WHERE id > $1 ORDER BY id", [23]), wire.bind("", "s", [95]), wire.execute(), wire.sync()],
        [wire.bind("", "s", [97]), wire.describe("P", ""), wire.execute(), wire.sync()],
        [wire.parse("s", "SELECT 1"), wire.sync()],  # there is one
        [wire.bind("", "s", [97], results=[1]), wire.execute(), wire.bind("", "s", [99]), wire.execute(), wire.sync()],
        [wire.bind("p", "s", [90]), wire.execute("p", 3), wire.execute("p", 3), wire.execute("p"), wire.sync()],
        [wire.parse("", "SELECT 1 / (id - $1::int) FROM probe_me"), wire.bind("", "", [50]), wire.execute(), wire.sync()],
        [wire.bind("", "s", ["x"]), wire.execute(), wire.sync()],
        [wire.close("S", "s"), wire.bind("", "", [51]), wire.execute(), wire.sync()],
        [wire.bind("", "s", [97]), wire.execute(), wire.sync()],
        [wire.parse("s", "SELECT min(id) FROM probe_me"), wire.describe("S", "s"), wire.bind("", "s"), wire.execute(), wire.sync()],
        [wire.bind("", "s"), wire.execute(), wire.close("S", "s"), wire.sync()],
        [wire.bind("", "s"), wire.execute(), wire.sync()],
        [wire.query("BEGIN READ ONLY"),],
        [wire.query("SELECT count(*) FROM probe_me")],
        [wire.query("COMMIT")],
        [wire.query("SET search_path = pg_catalog, public; SELECT count(*) FROM probe_me")],
        [wire.query("SELECT count(*) FROM probe_me")],
        [wire.query("COPY probe_me TO STDOUT")],
        [wire.query("SELECT count(*) FROM probe_me")],
    ]  # fmt: skip


def transcript(conn):
    seen = []
    for batch in script():
        conn.send(*batch)
        replies = conn.until()
        seen.append([(m.type, wire.error_fields(m.body)["C"] if m.type == "E" else m.body) for m in replies])
    return seen


@pytest.mark.parametrize("consistency", ["strict", "bounded", "eventual"])
def test_nobody_can_tell_a_checked_read(cluster, make_waypost, consistency):
    proxy = audited(make_waypost, consistency)
    with cluster.connect(user="openfire", password="openfire") as direct:
        expected = transcript(direct)
    for _ in range(5):
        with connect(proxy) as conn:
            for sent, (got, want) in zip(script(), zip(transcript(conn), expected)):
                assert got == want, sent
    seen = outcomes(proxy)
    assert seen["same"] >= 40 and seen["error"] >= 5 and seen["failed"] == 0 and seen["stale"] == 0, seen


def test_many_at_once(make_waypost):
    """All that is sent at once is answered in its order, each once."""
    proxy = audited(make_waypost)
    with connect(proxy) as conn:
        for _ in range(20):
            conn.send(*(wire.query(f"SELECT {i}, count(*) FROM probe_me") for i in range(50)))
            assert wire.rows(conn.until(count=50)) == [[str(i), "100"] for i in range(50)]
    assert outcomes(proxy)["same"] >= 900


@pytest.mark.parametrize("rows", [40, 64, 66, 100, 5000])
def test_an_answer_that_is_too_long_to_be_held(make_waypost, rows):
    proxy = audited(make_waypost)
    sql = f"SELECT repeat(chr(65 + (a.id + b.id) % 26), 1000) FROM probe_me a, probe_me b ORDER BY a.id, b.id LIMIT {rows}"
    expected = [[chr(65 + (i // 100 + 1 + i % 100 + 1) % 26) * 1000] for i in range(rows)]
    with connect(proxy) as conn:
        for _ in range(10):
            assert conn.rows(sql) == expected
        assert conn.value("SELECT count(*) FROM probe_me") == "100"
    seen = outcomes(proxy)
    if rows * 1000 > HELD_BYTES:
        assert seen["too_long"] >= 9, seen
    else:
        assert seen["same"] >= 9 and seen["too_long"] == 0, seen


def test_an_answer_that_is_too_long_on_the_primary_alone(cluster, make_waypost, table):  # noqa: F811
    with asynchronous(cluster):
        proxy = audited(make_waypost, "eventual")
        with proxy.connect() as writer, connect(proxy) as checked, replay_paused(cluster, *REPLICAS):
            writer.rows(f"INSERT INTO {table} SELECT generate_series(1, 20000)")
            for _ in range(5):
                assert checked.rows(f"SELECT id FROM {table}") == []  # as if it were not checked
            assert outcomes(proxy)["too_long"] == 5, outcomes(proxy)


def test_a_primary_that_has_no_connection_to_spare(cluster, make_waypost):
    servers = [
        {"name": name, "host": "127.0.0.1", "port": port, "max_connections": 1 if name == "pg0" else 20}
        for name, port in cluster.ports.items()
    ]
    proxy = audited(make_waypost, servers=servers, sections={"top": {"workers": 1}})
    with proxy.connect() as other, connect(proxy) as conn:
        conn.rows("SELECT count(*) FROM probe_me")
        other.rows("BEGIN; CREATE TEMP TABLE mine (a int)")
        for _ in range(3):
            began = time.monotonic()
            assert conn.value("SELECT count(*) FROM probe_me") == "100"
            assert time.monotonic() - began < 2
        assert outcomes(proxy)["failed"] == 3, outcomes(proxy)
        proxy.counted(0, "waypost_errors_total")
        other.rows("ROLLBACK")
        same = outcomes(proxy)["same"]
        assert conn.value("SELECT count(*) FROM probe_me") == "100"
        assert outcomes(proxy)["same"] == same + 1


def test_a_primary_that_does_not_come_to_an_end(cluster, make_waypost, table):  # noqa: F811
    """The client has the replica's answer soon, and what ran for it on the primary is cancelled."""
    with asynchronous(cluster):
        proxy = audited(make_waypost, "eventual")
        marker = new_marker()
        with cluster.connect() as locks, connect(proxy) as conn, replay_paused(cluster, *REPLICAS):
            locks.rows(f"BEGIN; LOCK TABLE {table}")
            for _ in range(3):
                began = time.monotonic()
                assert conn.value(f"SELECT count(*) FROM {table} /* {marker} */") == "0"
                assert time.monotonic() - began < 2
            assert outcomes(proxy)["failed"] == 3, outcomes(proxy)
            waiting = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{marker}%' AND state = 'active' AND pid <> pg_backend_pid()"
            eventually(lambda: cluster.sql(waiting) == [["0"]], 5, "cancelled")
            locks.rows("ROLLBACK")
            assert conn.value(f"SELECT count(*) FROM {table}") == "0"


def test_reads_go_on_without_a_primary(cluster, make_waypost):
    with asynchronous(cluster):
        proxy = audited(make_waypost, "eventual")
        with connect(proxy) as conn:
            try:
                for i in range(200):
                    if i == 50:
                        cluster.stop_server("pg0")
                    began = time.monotonic()
                    assert conn.value("SELECT count(*) FROM probe_me") == "100"
                    assert time.monotonic() - began < 3
            finally:
                cluster.start_server("pg0")
            same = outcomes(proxy)["same"]

            def checked_again():
                conn.rows("SELECT count(*) FROM probe_me")
                return outcomes(proxy)["same"] > same

            eventually(checked_again, 30, "checked again")
        assert outcomes(proxy)["stale"] == 0
    both_synchronous(cluster)


def test_a_share_of_the_reads(cluster, make_waypost):
    proxy = make_waypost(
        sections={"routing": {"read_from": "streaming", "self_check": 0.25}, "top": {"workers": 1}}, wait_for_split=False
    )
    with proxy.connect() as conn:
        eventually(lambda: conn.rows("SELECT count(*) FROM probe_me") and sum(outcomes(proxy).values()) > 0, 20, "a check")
        before = sum(outcomes(proxy).values())
        for _ in range(200):
            conn.rows("SELECT count(*) FROM probe_me")
        assert 45 <= sum(outcomes(proxy).values()) - before <= 51
        for sql in ("SELECT 1", "SHOW datestyle", "INSERT INTO probe_me SELECT 1 WHERE false"):  # nothing to compare
            before = sum(outcomes(proxy).values())
            for _ in range(20):
                conn.rows(sql)
            assert sum(outcomes(proxy).values()) == before, sql
