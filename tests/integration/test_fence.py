"""No read misses what was acknowledged before it began, whoever wrote it and however the standbys replicate."""

import contextlib
import json
import os
import pathlib
import signal
import threading
import time

import pytest
import wire
from cluster import REPLICAS, new_marker
from waypost import eventually

pytestmark = [pytest.mark.proxy, pytest.mark.majors]

STREAMING = {"routing": {"read_from": "streaming"}}


def read_ran_on(cluster, conn, sql="SELECT count(*) FROM probe_me"):
    marker = new_marker()
    conn.rows(f"{sql} /* {marker} */")
    return cluster.where(marker)


@contextlib.contextmanager
def primary_settings(cluster, **settings):
    for name, value in settings.items():
        cluster.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in settings:
            cluster.sql(f"ALTER SYSTEM RESET {name}")
        cluster.sql("SELECT pg_reload_conf()")
        both_synchronous(cluster)


def both_synchronous(cluster):
    eventually(
        lambda: cluster.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'") == [["2"]],
        30,
        "both replicas synchronous again",
    )


@contextlib.contextmanager
def asynchronous(cluster):
    with primary_settings(cluster, synchronous_standby_names="", synchronous_commit="on"):
        yield


@contextlib.contextmanager
def replay_paused(cluster, *names):
    for name in names:
        cluster.sql("SELECT pg_wal_replay_pause()", server=name)
    # Before 14 a server does not say that it has paused; then it does so within a moment.
    state = ("pg_get_wal_replay_pause_state()", "paused") if cluster.major >= 14 else ("pg_is_wal_replay_paused()", "t")
    for name in names:
        eventually(lambda name=name: cluster.sql(f"SELECT {state[0]}", server=name) == [[state[1]]], 10, "paused")
    if cluster.major < 14:
        time.sleep(0.5)
    try:
        yield
    finally:
        resume_replay(cluster, *names)


def resume_replay(cluster, *names):
    """Replay goes on at once. Before 14 a server that has paused looks once a second, or when a signal wakes it."""
    also = "" if cluster.major >= 14 else ", pg_reload_conf()"
    for name in names:
        cluster.sql(f"SELECT pg_wal_replay_resume(){also}", server=name)


def walreceiver(cluster, name):
    """The pid of that replica's WAL receiver."""
    postmaster = int((cluster.dir / name / "postmaster.pid").read_text().split()[0])
    for child in pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
        title = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
        if b"walreceiver" in title:
            return int(child)
    raise AssertionError(f"{name} has no walreceiver")


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def table(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("CREATE TABLE fresh (id int)")
        yield "fresh"
        conn.rows("DROP TABLE fresh")


def write_and_read(cluster, proxy, table, rounds=200):
    """Writes by another session, and past Waypost; how many reads ran where. Fails at the first stale one."""
    before = int(cluster.sql(f"SELECT count(*) FROM {table}")[0][0])
    ran = {name: proxy.metric("waypost_backend_queries_total", server=name, kind="simple") or 0 for name in cluster.ports}
    with proxy.connect() as writer, proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as past:
        reader.rows(f"SELECT count(*) FROM {table}")
        for i in range(1, rounds + 1):
            (writer if i % 2 else past).rows(f"INSERT INTO {table} VALUES ({i})")
            assert reader.value(f"SELECT count(*) FROM {table}") == str(before + i)
    return {
        name: (proxy.metric("waypost_backend_queries_total", server=name, kind="simple") or 0) - ran[name] for name in ran
    }


@pytest.mark.parametrize(
    "names, commit",
    [("", "on"), ("", "off"), ("FIRST 1 (pg1, pg2)", "remote_apply"), ("FIRST 2 (pg1, pg2)", "remote_apply"),
     ("FIRST 2 (pg1, pg2)", "on"), ("FIRST 2 (pg1, pg2)", "remote_write"), ("ANY 1 (pg1, pg2)", "remote_apply"),
     ("ANY 2 (pg1, pg2)", "local")],
)  # fmt: skip
def test_under_every_replication_setting(cluster, make_waypost, table, names, commit):
    with primary_settings(cluster, synchronous_standby_names=names, synchronous_commit=commit):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        ran = write_and_read(cluster, proxy, table)
        assert ran["pg1"] + ran["pg2"] >= 190, ran


def test_only_the_synchronous_ones_unless_asked_for(cluster, make_waypost):
    with primary_settings(cluster, synchronous_standby_names="FIRST 1 (pg1, pg2)"):
        proxy = make_waypost(wait_for_split=True)
        with proxy.connect() as conn:
            assert {read_ran_on(cluster, conn) for _ in range(20)} == {"pg1"}
    with asynchronous(cluster), proxy.connect() as conn:
        eventually(lambda: read_ran_on(cluster, conn) == "pg0", 10, "reads on the primary")
        eventually(lambda: "its sync_state is async" in proxy.get("/api/v1/servers")[1], 5, "said why")


def test_the_api_says_what_the_fence_knows(cluster, make_waypost, table):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)

        def replica(name="pg1"):
            return next(s for s in json.loads(proxy.get("/api/v1/servers")[1])["servers"] if s["name"] == name)

        eventually(lambda: replica()["workers_proving"] > 0, 10, "the fence knows it")
        seen = replica()
        assert seen["why_not"]["streaming"] == {"strict": None, "eventual": None}
        assert seen["why_not"]["synchronous"]["strict"] == "its sync_state is async"
        assert not seen["sync_guarantee"] and seen["sync_guarantee_why"] == "synchronous_standby_names is empty"
        assert 0 <= seen["sample_age_ms"] < 5000
        proxy.counted(0, "waypost_replica_sync_guarantee", server="pg1")
        status = json.loads(proxy.get("/api/v1/status")[1])
        assert not status["sync_guarantee"] and status["warnings"] == []
        with proxy.connect() as conn, replay_paused(cluster, *REPLICAS):
            conn.rows(f"INSERT INTO {table} VALUES (1)")
            assert conn.value(f"SELECT count(*) FROM {table}") == "1"
            assert replica()["read_index_distance_bytes"] > 0
            time.sleep(1)
            assert replica()["fresh_age_ms"] >= 900
        eventually(lambda: replica()["read_index_distance_bytes"] == 0, 10, "caught up")


def test_a_session_that_lowers_synchronous_commit_reads_its_own_writes(cluster, make_waypost, table):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        for lower in ("SET synchronous_commit = off", "SELECT set_config('synchronous_commit', 'local', false)"):
            conn.rows(lower)
            for i in range(50):
                conn.rows(f"INSERT INTO {table} VALUES ({i})")
                assert conn.value(f"SELECT count(*) FROM {table} WHERE id = {i}") != "0"
                conn.rows(f"DELETE FROM {table}")
                assert conn.value(f"SELECT count(*) FROM {table}") == "0"
            assert read_ran_on(cluster, conn) in REPLICAS


def test_replay_that_is_paused(cluster, make_waypost, table):
    """Nothing new is read there; the primary answers, and the other replica while it follows."""
    with asynchronous(cluster):
        proxy = make_waypost(sections={"routing": {"read_from": "streaming", "fence_wait": "20ms"}}, wait_for_split=True)
        with replay_paused(cluster, "pg1"):
            ran = write_and_read(cluster, proxy, table, 100)
            assert ran["pg1"] <= 1 and ran["pg2"] >= 50, ran
        with replay_paused(cluster, *REPLICAS):
            ran = write_and_read(cluster, proxy, table, 50)
            assert ran["pg1"] + ran["pg2"] <= 2, ran
            proxy.counted(49, "waypost_fenced_reads_total", outcome="fell_back", at_least=True)
        with proxy.connect() as conn:
            eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 10, "reads on a replica again")


def test_what_an_open_transaction_wrote_keeps_nobody_from_the_replicas(cluster, make_waypost, table):
    """Its WAL lies unflushed in the primary's buffers, so that no replica can reach the primary's position."""
    with asynchronous(cluster):
        proxy = make_waypost(sections={"routing": {"read_from": "streaming", "fence_wait": "500ms"}}, wait_for_split=True)
        with cluster.connect(user="openfire", password="openfire") as writer, proxy.connect() as conn:
            for _ in range(20):
                writer.rows(f"BEGIN; INSERT INTO {table} SELECT generate_series(1, 37)")
                assert conn.value(f"SELECT count(*) FROM {table}") == "0"
                assert read_ran_on(cluster, conn) in REPLICAS
                writer.rows("ROLLBACK")
        proxy.counted(1, "waypost_fence_nudges_total", at_least=True)


def test_an_asynchronous_commit_past_waypost(cluster, make_waypost, table):
    """Acknowledged before it is flushed: no flush position tells of it."""
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with cluster.connect(user="openfire", password="openfire") as writer, proxy.connect() as conn:
            writer.rows("SET synchronous_commit = off")
            for i in range(1, 101):
                writer.rows(f"INSERT INTO {table} VALUES ({i})")
                assert conn.value(f"SELECT count(*) FROM {table}") == str(i)


def test_ddl_then_read(cluster, make_waypost):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, proxy.connect() as reader:
            for i in range(30):
                writer.rows(f"CREATE TABLE made_{i} (a int)")
                assert reader.rows(f"SELECT * FROM made_{i}") == []
                writer.rows(f"ALTER TABLE made_{i} ADD b int DEFAULT {i}; INSERT INTO made_{i} VALUES (1)")
                assert reader.rows(f"SELECT b FROM made_{i}") == [[str(i)]]
                # A Parse alone can answer that a table does not exist.
                reader.send(wire.parse("", f"SELECT b FROM made_{i}"), wire.describe("S", ""), wire.sync())
                assert wire.sqlstates(reader.until()) == []
                writer.rows(f"DROP TABLE made_{i}")
                with pytest.raises(wire.ServerError, match="42P01"):
                    reader.rows(f"SELECT * FROM made_{i}")


def test_notify_then_read(cluster, make_waypost, table):
    """Who is woken by a NOTIFY finds what was written with it."""
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as listener:
            listener.rows("LISTEN fresh_rows")
            for i in range(1, 51):
                writer.rows(f"BEGIN; INSERT INTO {table} VALUES ({i}); NOTIFY fresh_rows; COMMIT")
                listener.until("A")
                assert reader.value(f"SELECT count(*) FROM {table}") == str(i)


def test_two_phase_commit(cluster, make_waypost, table):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, proxy.connect() as reader:
            for i in range(1, 31):
                writer.rows(f"BEGIN; INSERT INTO {table} VALUES ({i}); PREPARE TRANSACTION 'fresh'")
                assert reader.value(f"SELECT count(*) FROM {table}") == str(i - 1)
                writer.rows("COMMIT PREPARED 'fresh'")
                assert reader.value(f"SELECT count(*) FROM {table}") == str(i)


def test_read_only_blocks(cluster, make_waypost, table):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, proxy.connect() as reader:
            for begin in ("BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
                for _ in range(20):
                    writer.rows(f"TRUNCATE {table}; INSERT INTO {table} VALUES (1)")
                    reader.rows(begin)
                    assert reader.value(f"SELECT count(*) FROM {table}") == "1"
                    assert read_ran_on(cluster, reader) in REPLICAS
                    writer.rows(f"INSERT INTO {table} VALUES (2)")
                    seen = reader.value(f"SELECT count(*) FROM {table}")
                    reader.rows("COMMIT")
                    assert seen == ("1" if "REPEATABLE" in begin else "2")
                    assert reader.value(f"SELECT count(*) FROM {table}") == "2"


def begin_and_read(conn, table):
    """In one batch, and on a replica."""
    for _ in range(50):
        for part in ("BEGIN READ ONLY", f"SELECT count(*) FROM {table}"):
            conn.send(wire.parse("", part), wire.bind("", ""), wire.execute())
        conn.send(wire.sync())
        assert conn.until()[-1].body == b"T"
        if conn.value("SELECT pg_is_in_recovery()") == "t":
            return
        conn.rows("COMMIT")
    pytest.fail("no such block ran on a replica")


@pytest.mark.parametrize(
    "steps",
    [
        ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT count(*) FROM {t}", "COMMIT AND CHAIN"],
        ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT count(*) FROM {t}", "COMMIT", None],
    ],
    ids=["chained", "the one behind"],
)
def test_a_repeatable_read_block_gives_its_snapshot_to_no_other(cluster, make_waypost, table, steps):
    with asynchronous(cluster):
        proxy = make_waypost(
            sections={"routing": {"read_from": "streaming"}, "pool": {"query_wait_timeout": "1s"}}, wait_for_split=True
        )
        with proxy.connect() as writer, proxy.connect() as reader:
            for sql in steps:
                if sql is not None:
                    reader.rows(sql.format(t=table))
                    continue
                begin_and_read(reader, table)
                reader.rows("SAVEPOINT s")  # without it, it would go on on the primary
            with replay_paused(cluster, *REPLICAS):
                writer.rows(f"INSERT INTO {table} VALUES (1)")
                with pytest.raises(wire.ServerError, match="40001"):
                    reader.rows(f"SELECT count(*) FROM {table}")


@pytest.mark.parametrize("begin", [
    ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
    ["SET default_transaction_isolation = 'repeatable read'", "BEGIN READ ONLY"],
])  # fmt: skip
@pytest.mark.parametrize(
    "first", [wire.query("SELECT 1"), wire.parse("", "SELECT 1") + wire.sync()], ids=["run", "parsed alone"]
)  # fmt: skip
def test_what_fixes_the_snapshot_of_a_block_is_fresh(cluster, make_waypost, table, begin, first):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, proxy.connect() as reader:
            for written in range(1, 4):
                with replay_paused(cluster, *REPLICAS):
                    writer.rows(f"INSERT INTO {table} VALUES (1)")
                    for sql in begin:
                        reader.rows(sql)
                    reader.send(first)
                    assert reader.until()[-1].body == b"T"
                assert reader.value(f"SELECT count(*) FROM {table}") == str(written)
                reader.rows("COMMIT")


@pytest.mark.parametrize("end", ["ROLLBACK AND CHAIN", "COMMIT AND CHAIN"])
def test_a_chain_behind_a_failure_on_a_replica_may_write(cluster, make_waypost, table, end):
    """PostgreSQL forgets that the block was READ ONLY."""
    proxy = make_waypost(sections=STREAMING, wait_for_split=True)
    for port in (cluster.ports["pg0"], proxy.port):
        with wire.connect(port) as conn:
            conn.rows("SET DateStyle = 'ISO'")
            conn.rows("BEGIN READ ONLY")
            conn.rows("SELECT count(*) FROM probe_me")
            conn.rows("SET DateStyle = 'SQL'")
            if port == proxy.port:
                assert read_ran_on(cluster, conn) in REPLICAS
            assert wire.sqlstates(conn.simple("SELECT 1 / 0")) == ["22012"]
            assert [(m.type, m.body) for m in conn.simple(end) if m.type in "CZ"] == [("C", b"ROLLBACK\0"), ("Z", b"T")]
            assert conn.value("SHOW DateStyle") == "ISO, MDY"
            conn.rows(f"INSERT INTO {table} VALUES (7)")
            conn.rows("COMMIT")
    assert cluster.sql(f"SELECT count(*) FROM {table}") == [["2"]]


def test_a_read_only_block_whose_replica_falls_behind(cluster, make_waypost, table):
    """It waits, since it cannot go elsewhere; then its transaction fails, and the session lives on."""
    with asynchronous(cluster):
        proxy = make_waypost(
            sections={"routing": {"read_from": "streaming"}, "pool": {"query_wait_timeout": "1s"}}, wait_for_split=True
        )
        with proxy.connect() as writer, proxy.connect() as reader:
            reader.rows("BEGIN READ ONLY")
            reader.rows("SAVEPOINT s")  # without it, it would go on on the primary
            reader.rows(f"SELECT count(*) FROM {table}")
            with replay_paused(cluster, *REPLICAS):
                writer.rows(f"INSERT INTO {table} VALUES (1)")
                threading.Timer(0.3, resume_replay, (cluster, *REPLICAS)).start()
                assert reader.value(f"SELECT count(*) FROM {table}") == "1"
            with replay_paused(cluster, *REPLICAS):
                writer.rows(f"INSERT INTO {table} VALUES (1)")
                began = time.monotonic()
                with pytest.raises(wire.ServerError, match="40001"):
                    reader.rows(f"SELECT count(*) FROM {table}")
                assert 0.9 < time.monotonic() - began < 5
                with pytest.raises(wire.ServerError, match="25P02"):
                    reader.rows("SELECT 1")
                reader.rows("ROLLBACK")
                assert reader.value(f"SELECT count(*) FROM {table}") == "2"


def run_part(conn, sql, *end):
    """One part of a series, up to a Flush unless `end` says otherwise: the first column of its row."""
    conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute(), *(end or (wire.flush(),)))
    return wire.rows(conn.until("C"))[0][0]


def in_a_read_only_block_on_a_replica(cluster, proxy):
    conn = proxy.connect()
    conn.rows("BEGIN READ ONLY")

    def there():
        if read_ran_on(cluster, conn) in REPLICAS:
            return True
        conn.rows("ROLLBACK")  # none was fast enough just now
        conn.rows("BEGIN READ ONLY")
        return False

    eventually(there, 10, "a block on a replica")
    return conn


def test_each_part_of_a_series_in_a_read_only_block(cluster, make_waypost, table):
    """What comes behind a Flush, without a Sync between, takes a snapshot of its own."""
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        count = f"SELECT count(*) FROM {table}"
        with proxy.connect() as writer, in_a_read_only_block_on_a_replica(cluster, proxy) as reader:
            for i in range(1, 60):
                if i % 20 == 0:
                    reader.send(wire.sync())
                    reader.until()
                with replay_paused(cluster, *REPLICAS) if i % 10 == 0 else contextlib.nullcontext():
                    writer.rows(f"INSERT INTO {table} VALUES ({i})")
                    if i % 10 == 0:
                        threading.Timer(0.2, resume_replay, (cluster, *REPLICAS)).start()
                    if i % 3 == 0:  # in several writes, and a large message among them
                        text = count if i % 2 else count + " /*" + "x" * 1_100_000 + "*/"
                        for message in (wire.parse("", text), wire.bind("", ""), wire.execute(), wire.flush()):
                            reader.send(message)
                        seen = wire.rows(reader.until("C"))[0][0]
                    else:
                        seen = run_part(reader, count)
                    assert seen == str(i)
            writer.rows(f"INSERT INTO {table} VALUES (0)")
            assert run_part(reader, count, wire.sync()) == "60"
            reader.until()
            reader.rows("COMMIT")


def test_a_part_of_a_series_whose_replica_does_not_catch_up(cluster, make_waypost, table):
    """As a batch: its transaction fails, and the session lives on, whether the Sync was there or comes later."""
    with asynchronous(cluster):
        proxy = make_waypost(
            sections={"routing": {"read_from": "streaming"}, "pool": {"query_wait_timeout": "700ms"}}, wait_for_split=True
        )
        count = f"SELECT count(*) FROM {table}"
        for late in (False, True):
            with proxy.connect() as writer, in_a_read_only_block_on_a_replica(cluster, proxy) as reader:
                before = run_part(reader, count)
                with replay_paused(cluster, *REPLICAS):
                    writer.rows(f"INSERT INTO {table} VALUES (1)")
                    reader.send(wire.parse("", count), wire.bind("", ""), wire.execute(), wire.flush() if late else wire.sync())
                    if late:
                        assert wire.sqlstates(reader.until("E")) == ["40001"]
                        reader.send(wire.query("SELECT 1"), wire.sync())  # skipped, as by a server
                        assert wire.sqlstates(reader.until()) == []
                    else:
                        assert wire.sqlstates(reader.until()) == ["40001"]
                    with pytest.raises(wire.ServerError, match="25P02"):
                        reader.rows("SELECT 1")
                    reader.rows("ROLLBACK")
                assert reader.value(count) == str(int(before) + 1)


def test_a_replica_that_is_lost_while_a_block_waits_for_it(cluster, make_waypost, table):
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as writer, in_a_read_only_block_on_a_replica(cluster, proxy) as reader:
            reader.rows("SAVEPOINT s")  # without it, it would go on on the primary
            with replay_paused(cluster, *REPLICAS):
                writer.rows(f"INSERT INTO {table} VALUES (1)")
                reader.send(wire.query(f"SELECT count(*) FROM {table}"))
                time.sleep(0.2)
                for name in REPLICAS:
                    cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'openfire'", server=name)
                assert wire.sqlstates(reader.until()) == ["40001"]
                reader.rows("ROLLBACK")
            assert reader.value(f"SELECT count(*) FROM {table}") == "1"


def test_a_block_that_waits_goes_on_when_the_fence_asks_anew(cluster, make_waypost, table):
    """The connection on which its replica is asked breaks, and when it is back the replica is there already."""
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        took = []
        for i in range(1, 4):
            with proxy.connect() as writer, in_a_read_only_block_on_a_replica(cluster, proxy) as reader:
                with replay_paused(cluster, *REPLICAS):
                    writer.rows(f"INSERT INTO {table} VALUES ({i})")
                    reader.send(wire.query(f"SELECT count(*) FROM {table}"))
                    time.sleep(0.1)
                    for name in REPLICAS:
                        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waypost fence'",
                                    server=name)
                        resume_replay(cluster, name)
                    begun = time.monotonic()
                    assert wire.rows(reader.until()) == [[str(i)]]
                    took.append(time.monotonic() - begun)
                reader.rows("COMMIT")
        assert min(took) < 0.7, took  # not at the next sign of life


def test_answers_larger_than_what_is_held(cluster, make_waypost, table):
    """Whether they are confirmed or thrown away."""
    with asynchronous(cluster):
        proxy = make_waypost(sections=STREAMING, wait_for_split=True)
        with proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as past:
            for i in range(60):
                past.rows(f"INSERT INTO {table} VALUES ({i})")
                rows = reader.rows(f"SELECT id, repeat('x', 1000) FROM {table}, generate_series(1, 200)")
                assert len(rows) == 200 * (i + 1) and {row[0] for row in rows} == {str(n) for n in range(i + 1)}
                time.sleep(0.02)  # long enough for the next read to be sent ahead of its proof


def test_a_long_read_that_was_sent_too_early_is_cut_short(cluster, make_waypost, table):
    """Its answer will not count: what is to be answered runs again at once, not when the replica is done."""
    with asynchronous(cluster):
        proxy = make_waypost(sections={"routing": {"read_from": "streaming", "fence_wait": "20ms"}}, wait_for_split=True)
        with proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as past:
            long = f"SELECT count(*) FROM {table} f, generate_series(1, 1000000) g WHERE f.id + g > 0"

            def thrown_away():
                return sum(proxy.metric("waypost_fence_thrown_away_total", server=n) or 0 for n in REPLICAS)

            def sent_too_early():
                """False: something else has told Waypost of the position before the read was sent."""
                past.rows(f"INSERT INTO {table} SELECT generate_series(1, 1000)")
                eventually(lambda: read_ran_on(cluster, reader, f"SELECT count(*) FROM {table}") in REPLICAS, 10, "a read on a replica")
                with replay_paused(cluster, *REPLICAS):
                    if not any(read_ran_on(cluster, reader, f"SELECT count(*) FROM {table}") in REPLICAS for _ in range(20)):
                        return False  # the primary wrote something of its own, an autovacuum's say: they wait for it
                    before = thrown_away()
                    past.rows(f"DELETE FROM {table}")
                    begun = time.monotonic()
                    assert reader.value(long) == "0"
                    assert time.monotonic() - begun < 10  # minutes on the replica, which still has the rows
                    counted = thrown_away() - before
                eventually(lambda: read_ran_on(cluster, reader, f"SELECT count(*) FROM {table}") in REPLICAS, 10, "reads on replicas again")
                assert reader.value(f"SELECT count(*) FROM {table}") == "0"
                assert counted in (0, 1)
                return counted == 1

            assert any(sent_too_early() for _ in range(5))


def test_bounded_and_a_frozen_walreceiver(cluster, make_waypost, table):
    """What the primary says of the lag stands still with the walreceiver; what is read does not get older than max_lag."""
    pg1 = {n: p for n, p in cluster.ports.items() if n != "pg2"}
    servers = [{"name": n, "host": "127.0.0.1", "port": p} for n, p in pg1.items()]
    with asynchronous(cluster):
        proxy = make_waypost(
            sections={"routing": {"read_from": "streaming", "consistency": "bounded", "max_lag": "700ms", "fence_wait": "5ms"}},
            servers=servers,
            wait_for_split=True,
        )
        with proxy.connect() as reader, cluster.connect(user="openfire", password="openfire") as past:
            past.rows(f"INSERT INTO {table} VALUES (0)")
            eventually(lambda: reader.value(f"SELECT max(id) FROM {table}") == "0", 5, "seen")
            with stopped(walreceiver(cluster, "pg1")):
                written = {}
                for i in range(1, 40):
                    past.rows(f"INSERT INTO {table} VALUES ({i})")
                    written[i] = time.monotonic()
                    time.sleep(0.05)
                    began = time.monotonic()
                    seen = int(reader.value(f"SELECT max(id) FROM {table}"))
                    assert all(n <= seen for n, at in written.items() if began - at > 0.7), (i, seen)
                assert read_ran_on(cluster, reader) == "pg0"
            eventually(lambda: read_ran_on(cluster, reader) == "pg1", 15, "reads on the replica again")


def test_without_a_primary(cluster, make_waypost):
    """Nothing can be proved fresh: strict reads wait. Who takes what is old goes on, if it is not too old."""
    users = [{"name": "openfire", "password": "openfire"}]
    database = [{"name": "bench", "consistency": "eventual"}]
    proxy = make_waypost(users=users, databases=database, wait_for_split=True)
    with proxy.connect() as strict, proxy.connect(database="bench") as eventual:
        assert strict.value("SELECT count(*) FROM probe_me") == "100"
        assert eventual.value("SELECT count(*) FROM probe_me") == "100"
        cluster.stop_server("pg0")
        try:
            eventually(lambda: proxy.get("/readyz")[0] == 503, 10, "no primary")
            strict.send(wire.query("SELECT count(*) FROM probe_me"))
            for _ in range(20):
                assert eventual.value("SELECT count(*) FROM probe_me") == "100"
            with pytest.raises(TimeoutError):
                strict.sock.settimeout(0.5)
                strict.recv()
        finally:
            cluster.start_server("pg0")
        strict.sock.settimeout(30)
        assert wire.rows(strict.until()) == [["100"]]
    both_synchronous(cluster)


def test_cancel_while_it_waits_for_a_replica(cluster, make_waypost, table):
    with asynchronous(cluster):
        proxy = make_waypost(sections={"routing": {"read_from": "streaming", "fence_wait": "20s"}}, wait_for_split=True)
        with proxy.connect() as conn:
            for begin in (False, True):
                eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 10, "reads on a replica")
                if begin:
                    conn.rows("BEGIN READ ONLY")
                    conn.rows(f"SELECT count(*) FROM {table}")
                with replay_paused(cluster, *REPLICAS):
                    cluster.sql(f"INSERT INTO {table} VALUES (1)")
                    conn.send(wire.query(f"SELECT count(*) FROM {table}"))
                    time.sleep(0.05)
                    assert wire.sqlstates(conn.until_cancelled()) == ["57014"]
                if begin:
                    conn.rows("ROLLBACK")


def test_replicas_that_stop_and_return(cluster, make_waypost):
    """Nothing that only reads sees an error; connections live on."""
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        for name, left in (("pg2", {"pg1", "pg0"}), ("pg1", {"pg0"})):
            cluster.stop_server(name)
            for _ in range(30):
                assert conn.value("SELECT count(*) FROM probe_me") == "100"
            eventually(lambda left=left: read_ran_on(cluster, conn) in left, 10, "reads elsewhere")
        for _ in range(10):
            assert read_ran_on(cluster, conn) == "pg0"
        cluster.start_server("pg1")
        cluster.start_server("pg2")
        eventually(lambda: read_ran_on(cluster, conn) in REPLICAS, 20, "reads on a replica again")
        with proxy.connect() as other:
            assert other.value("SELECT 1") == "1"
    both_synchronous(cluster)


SETTLED = "waypost_settled_reads_total"
OUTCOMES = ("at_once", "nothing_shown", "waited", "gave_up")
ON_PRIMARY = "SELECT count(*) FROM fresh WHERE NOT pg_is_in_recovery()"  # may run there alone


def commit_that_waits(cluster, proxy, value):
    """A commit that waits for its standbys until they go on: pg1 shows it, the primary does not yet."""
    def write():
        with proxy.connect() as conn:
            conn.rows(f"INSERT INTO fresh VALUES ({value})")

    thread = threading.Thread(target=write)
    thread.start()
    shown = f"SELECT count(*) FROM fresh WHERE id = {value}"
    eventually(lambda: cluster.sql(shown, server="pg1") == [["1"]], 10, "pg1 shows it")
    assert cluster.sql(shown) == [["0"]]
    return thread


@pytest.mark.parametrize("before, read", [
    ([], ON_PRIMARY),
    (["BEGIN", "SELECT 1"], ON_PRIMARY),
    (["LISTEN nothing"], ON_PRIMARY),
    ([f"PREPARE counts AS {ON_PRIMARY}"], "EXECUTE counts"),
], ids=["alone", "in a block", "tied", "execute"])
def test_a_read_on_the_primary_does_not_miss_what_a_replica_has_shown(cluster, make_waypost, table, before, read):
    with primary_settings(cluster, synchronous_standby_names="FIRST 2 (pg1, pg2)", synchronous_commit="on"):
        proxy = make_waypost(wait_for_split=True)
        with proxy.connect() as reader:
            for sql in before:
                reader.rows(sql)
            for attempt in range(1, 20):
                with stopped(walreceiver(cluster, "pg2")):
                    thread = commit_that_waits(cluster, proxy, attempt)
                    reader.send(wire.query(read))
                    time.sleep(0.02)
                seen = wire.rows(reader.until())[0][0]
                thread.join(30)
                if (proxy.metric(SETTLED, outcome="waited") or 0) > 0:
                    assert seen == str(attempt)
                    break
            else:
                raise AssertionError(f"no read waited: {[proxy.metric(SETTLED, outcome=outcome) for outcome in OUTCOMES]}")


def test_a_cancel_while_a_tied_session_settles_ends_the_statement_alone(cluster, make_waypost, table):
    with primary_settings(cluster, synchronous_standby_names="FIRST 2 (pg1, pg2)", synchronous_commit="on"):
        proxy = make_waypost(wait_for_split=True)
        with proxy.connect() as reader:
            def settled():
                return [proxy.metric(SETTLED, outcome=outcome) for outcome in OUTCOMES]

            reader.rows("LISTEN nothing")
            pid = reader.value("SELECT pg_backend_pid()")
            for attempt in range(1, 10):
                with stopped(walreceiver(cluster, "pg2")):
                    thread = commit_that_waits(cluster, proxy, attempt)
                    before = settled()
                    reader.send(wire.query("SELECT pg_sleep(20), count(*) FROM fresh"))
                    time.sleep(0.02)
                    assert wire.sqlstates(reader.until_cancelled()) == ["57014"]
                    met = settled() == before
                    assert reader.value("SELECT pg_backend_pid()") == pid
                thread.join(30)
                if met:
                    break
            else:
                raise AssertionError("no cancel request met a statement that settled")


def test_a_commit_that_waits_for_ever_does_not_hold_up_reads(cluster, make_waypost, table):
    with primary_settings(cluster, synchronous_standby_names="FIRST 2 (pg1, pg2)", synchronous_commit="on"):
        proxy = make_waypost(wait_for_split=True)
        with proxy.connect() as reader, stopped(walreceiver(cluster, "pg2")):
            thread = commit_that_waits(cluster, proxy, 1)
            begun = time.monotonic()
            assert reader.value(ON_PRIMARY) == "0"
            assert 0.05 < time.monotonic() - begun < 5
            proxy.counted(1, SETTLED, outcome="gave_up")
            for _ in range(20):  # it was waited for once
                reader.value(ON_PRIMARY)
            proxy.counted(1, SETTLED, outcome="gave_up")
            # What is in progress and shown nowhere holds up nobody either.
            with cluster.connect(user="openfire", password="openfire") as idle:
                idle.rows("BEGIN")
                idle.rows("INSERT INTO fresh VALUES (2)")
                reader.value(ON_PRIMARY)
                idle.rows("ROLLBACK")
            proxy.counted(1, SETTLED, outcome="gave_up")
            proxy.counted(1, SETTLED, outcome="nothing_shown", at_least=True)
        thread.join(30)
        with proxy.connect() as reader:
            assert reader.value(ON_PRIMARY) == "1"


def test_consistency_primary_settles_nothing(cluster, make_waypost, table):
    proxy = make_waypost(sections={"routing": {"consistency": "primary"}}, wait_for_split=False)
    with proxy.connect() as reader:
        reader.value(ON_PRIMARY)
        reader.value("SELECT count(*) FROM fresh")
    assert all((proxy.metric(SETTLED, outcome=o) or 0) == 0 for o in OUTCOMES)


def test_what_looks_at_no_rows_settles_nothing(cluster, make_waypost, table):
    cluster.sql("CREATE SEQUENCE numbers OWNED BY fresh.id", user="openfire")
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        for sql in ("SELECT nextval('numbers')", "SELECT setval('numbers'::regclass, 5)", "SELECT pg_is_in_recovery()",
                    "SELECT pg_advisory_xact_lock(1)"):  # fmt: skip
            conn.rows(sql)
        assert all((proxy.metric(SETTLED, outcome=o) or 0) == 0 for o in OUTCOMES)
        conn.rows("SELECT nextval('numbers') FROM fresh")
    proxy.counted(1, SETTLED)
