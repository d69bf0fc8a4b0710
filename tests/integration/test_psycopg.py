"""psycopg 3: pipeline mode, server-side preparation, COPY, cursors, notifications."""

import threading

import psycopg
import pytest
from cluster import REPLICAS, new_marker
from psycopg import sql as pgsql


@pytest.fixture
def conn(waypost):
    """As the README would: no options but where and who; sslmode=prefer asks for encryption first."""
    with psycopg.connect(
        host="127.0.0.1", port=waypost.port, user="openfire", password="openfire", dbname="openfire", autocommit=True,
        connect_timeout=15,
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def untied(make_waypost):
    """No client of it has asked for lastval(): behind DDL a session that is tied hears 0A000, as from PostgreSQL, since the
    server connection that it stays on has its statement."""
    return make_waypost(wait_for_split=True)


def connect_to(proxy):
    return psycopg.connect(host="127.0.0.1", port=proxy.port, user="openfire", password="openfire", dbname="openfire", autocommit=True)


@pytest.fixture
def table(conn):
    conn.execute("DROP TABLE IF EXISTS psy; CREATE TABLE psy (id int PRIMARY KEY, t text)")
    yield "psy"
    conn.rollback()
    conn.execute("DROP TABLE psy")


def test_pipeline(conn, table):
    with conn.pipeline() as pipeline, conn.cursor() as cur:
        cur.executemany("INSERT INTO psy VALUES (%s, %s)", [(i, f"t{i}") for i in range(200)])
        reads = [conn.execute("SELECT t FROM psy WHERE id = %s", (i,)) for i in range(0, 200, 10)]
        pipeline.sync()
        assert [r.fetchone()[0] for r in reads] == [f"t{i}" for i in range(0, 200, 10)]
    assert conn.execute("SELECT count(*) FROM psy").fetchone() == (200,)


def test_error_in_a_pipeline(conn, table):
    with pytest.raises(psycopg.errors.UniqueViolation):
        with conn.pipeline():
            conn.execute("INSERT INTO psy VALUES (1, 'a')")
            conn.execute("INSERT INTO psy VALUES (1, 'b')")
            conn.execute("INSERT INTO psy VALUES (2, 'c')")
    assert conn.execute("SELECT count(*) FROM psy").fetchone() == (0,)
    with conn.pipeline() as pipeline:
        first = conn.execute("SELECT 1")
        pipeline.sync()
        with pytest.raises(psycopg.errors.DivisionByZero):
            conn.execute("SELECT 1/0")
            pipeline.sync()
        last = conn.execute("SELECT 3")
        pipeline.sync()
        assert first.fetchone() == (1,) and last.fetchone() == (3,)


def test_pipeline_in_a_transaction(conn, table):
    with conn.transaction(), conn.pipeline():
        for i in range(20):
            conn.execute("INSERT INTO psy VALUES (%s, 'x')", (i,))
            assert conn.execute("SELECT count(*) FROM psy").fetchone() == (i + 1,)
    with pytest.raises(psycopg.errors.UniqueViolation):
        with conn.transaction():
            conn.execute("DELETE FROM psy")
            with conn.pipeline():
                conn.execute("INSERT INTO psy VALUES (1, 'x')")
                conn.execute("INSERT INTO psy VALUES (1, 'x')")
    assert conn.execute("SELECT count(*) FROM psy").fetchone() == (20,)


@pytest.mark.proxy
def test_prepared_statements_are_read_from_replicas(cluster, conn, marker):
    query = f"SELECT t FROM probe_me WHERE id = %s /* {marker} */"
    for i in range(1, 21):
        assert conn.execute(query, (i,), prepare=True).fetchone() == (f"row {i}",)
    runs = cluster.runs(marker)
    assert set(runs) <= set(REPLICAS) and sum(runs.values()) >= 20


def test_automatic_preparation(conn, table):
    """After five uses psycopg names a statement; beyond prepared_max it deallocates the oldest."""
    conn.prepared_max = 10
    for round_ in range(8):
        for i in range(15):
            assert conn.execute(f"SELECT {i} + %s", (round_,)).fetchone() == (i + round_,)
            conn.execute(f"INSERT INTO psy VALUES (%s, 'n{i}')", (round_ * 100 + i,))
    assert conn.execute("SELECT count(*) FROM psy").fetchone() == (120,)


def test_binary_and_types(conn):
    row = conn.execute(
        "SELECT %b::int8, %b::text, %b::bytea, %b::float8, %b::bool", (5, "caf\u00e9", b"\0\1\xff", 1.5, True), binary=True
    ).fetchone()
    assert row == (5, "caf\u00e9", b"\0\1\xff", 1.5, True)


def test_copy_both_ways(conn, table):
    with conn.cursor().copy("COPY psy FROM STDIN") as copy:
        for i in range(5000):
            copy.write_row((i, f"copied {i}"))
    with conn.cursor().copy("COPY (SELECT * FROM psy ORDER BY id) TO STDOUT") as copy:
        copy.set_types(["int4", "text"])
        assert list(copy.rows()) == [(i, f"copied {i}") for i in range(5000)]
    with conn.cursor().copy("COPY (SELECT id FROM psy ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4"])
        assert sum(row[0] for row in copy.rows()) == sum(range(5000))


def test_copy_that_fails(conn, table):
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        with conn.cursor().copy("COPY psy FROM STDIN") as copy:
            copy.write("not a number\tx\n")
    # psycopg sends CopyFail; which of the two it raises depends on its version.
    with pytest.raises((psycopg.errors.QueryCanceled, ZeroDivisionError)):
        with conn.cursor().copy("COPY psy FROM STDIN") as copy:
            copy.write("1\tx\n")
            raise ZeroDivisionError
    assert conn.execute("SELECT count(*) FROM psy").fetchone() == (0,)


def test_server_side_cursor(conn):
    with conn.transaction(), conn.cursor(name="named") as cur:
        cur.itersize = 7
        cur.execute("SELECT id FROM probe_me WHERE id > 0 ORDER BY id")
        assert [row[0] for row in cur] == list(range(1, 101))
    with conn.cursor(name="held", withhold=True) as cur:
        cur.execute("SELECT id FROM probe_me WHERE id > 0 ORDER BY id")
        assert len(cur.fetchmany(30)) == 30
        conn.execute("SELECT 1")
        assert len(cur.fetchall()) == 70


def test_transactions_and_savepoints(conn, table):
    with conn.transaction():
        conn.execute("INSERT INTO psy VALUES (1, 'kept')")
        with pytest.raises(ZeroDivisionError):
            with conn.transaction():
                conn.execute("INSERT INTO psy VALUES (2, 'undone')")
                raise ZeroDivisionError
        assert conn.execute("SELECT count(*) FROM psy").fetchone() == (1,)
    assert conn.execute("SELECT t FROM psy").fetchall() == [("kept",)]


def test_without_autocommit(waypost, conn, table):
    with psycopg.connect(
        host="127.0.0.1", port=waypost.port, user="openfire", password="openfire", dbname="openfire"
    ) as other:
        other.execute("INSERT INTO psy VALUES (1, 'x')")
        assert conn.execute("SELECT count(*) FROM psy").fetchone() == (0,)
        other.commit()
        assert conn.execute("SELECT count(*) FROM psy").fetchone() == (1,)
        other.read_only = True
        assert other.execute("SELECT count(*) FROM psy").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            other.execute("INSERT INTO psy VALUES (2, 'x')")
        other.rollback()


def test_notifications(waypost, conn):
    conn.execute("LISTEN psy_channel")
    with psycopg.connect(
        host="127.0.0.1", port=waypost.port, user="openfire", password="openfire", dbname="openfire", autocommit=True
    ) as other:
        other.execute(pgsql.SQL("NOTIFY {}, {}").format(pgsql.Identifier("psy_channel"), "heard"))
    timer = threading.Timer(20, conn.close)  # a bound for the wait
    timer.start()
    notice = next(conn.notifies())
    timer.cancel()
    assert (notice.channel, notice.payload) == ("psy_channel", "heard")


def test_notices(conn):
    heard = []
    conn.add_notice_handler(lambda diag: heard.append(diag.message_primary))
    conn.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
    assert heard == ["hello"]


def test_cancel(conn):
    timer = threading.Timer(0.5, conn.cancel)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute("SELECT pg_sleep(20)")
    timer.join()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_twenty_threads(waypost):
    failures = []

    def client(number):
        try:
            with psycopg.connect(
                host="127.0.0.1", port=waypost.port, user="openfire", password="openfire", dbname="openfire", autocommit=True
            ) as conn:
                with conn.pipeline():
                    for i in range(50):
                        assert conn.execute("SELECT %s::int * 1000 + %s::int", (number, i)).fetchone() == (number * 1000 + i,)
                for i in range(50):
                    mark = new_marker()
                    assert conn.execute("SELECT %s::text", (mark,)).fetchone() == (mark,)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_a_plan_that_ddl_changed_is_made_anew(table, untied):
    """PostgreSQL says "cached plan must not change result type"; who asks what is returned is spared it."""
    with connect_to(untied) as conn:
        sql = "SELECT * FROM psy FOR UPDATE"
        before = untied.metric("waypost_read_retries_total", cause="plan_changed")
        conn.execute("INSERT INTO psy VALUES (1, 'a')")
        for _ in range(3):
            assert conn.execute(sql, prepare=True).fetchall() == [(1, "a")]
        conn.execute("ALTER TABLE psy ADD b int DEFAULT 2")
        for _ in range(3):
            assert conn.execute(sql, prepare=True).fetchall() == [(1, "a", 2)]
        untied.counted(before + 1, "waypost_read_retries_total", cause="plan_changed", at_least=True)
        conn.execute("ALTER TABLE psy ADD c int DEFAULT 3")
        with pytest.raises(psycopg.errors.FeatureNotSupported), conn.transaction():  # a block cannot be run again
            conn.execute("SELECT 1")
            conn.execute(sql, prepare=True)
        assert conn.execute(sql, prepare=True).fetchall() == [(1, "a", 2, 3)]


def test_what_is_prepared_behind_ddl_is_parsed_behind_it(table, untied):
    """One session's statement is another's too, but never an older plan for a Parse of today; also where the batch goes on behind it."""
    with connect_to(untied) as conn:
        for n in range(3):
            for sql in (both := ("SELECT * FROM psy FOR UPDATE", "SELECT * FROM psy")):
                conn.execute(sql, prepare=True)
            conn.execute(f"ALTER TABLE psy ADD c{n} int")
            for sql in both:
                with connect_to(untied) as other, other.pipeline():
                    cur = other.execute(sql, prepare=True)
                    assert cur.fetchall() == [] and len(cur.description) == 3 + n
        with connect_to(untied) as other, other.pipeline() as pipeline:  # skipped by the server, which keeps what it has
            other.execute("SELECT 1 / 0")
            other.execute("SELECT * FROM psy FOR UPDATE", prepare=True)
            with pytest.raises(psycopg.errors.DivisionByZero):
                pipeline.sync()
        with connect_to(untied) as other:
            assert other.execute("SELECT * FROM psy FOR UPDATE", prepare=True).fetchall() == []
        conn.execute("SELECT t FROM psy FOR UPDATE", prepare=True)
        conn.execute("ALTER TABLE psy DROP t")
        with connect_to(untied) as other, pytest.raises(psycopg.errors.UndefinedColumn):  # said by the Parse, as PostgreSQL does
            other.execute("SELECT t FROM psy FOR UPDATE", prepare=True)
