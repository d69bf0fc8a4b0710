"""EXPLAIN ROUTE: what Waypost would do with a statement here and now, as rows."""

import json
import subprocess

import psycopg
import pytest
import waypost as waypost_process
import wire
from cluster import new_marker

pytestmark = pytest.mark.proxy

COLUMNS = ["statement", "class", "verdict", "target", "server", "reason", "path", "pin"]


def explain(conn, sql, params=None):
    """The rows as dictionaries, by psycopg."""
    cursor = conn.execute("EXPLAIN ROUTE " + sql, params)
    assert [c.name for c in cursor.description] == COLUMNS
    return [dict(zip(COLUMNS, row)) for row in cursor.fetchall()]


@pytest.fixture
def conn(waypost):
    with psycopg.connect(
        f"host=127.0.0.1 port={waypost.port} user=openfire password=openfire dbname=openfire", autocommit=True
    ) as made:
        yield made


def test_reads_and_writes(conn):
    (read,) = explain(conn, "SELECT * FROM probe_me")
    assert read["statement"] == "SELECT * FROM probe_me"
    assert (read["class"], read["verdict"], read["target"], read["reason"]) == ("read", "read_safe", "replica", "read_safe")
    assert read["server"] in ("pg1", "pg2") and read["pin"] is None
    (write,) = explain(conn, "INSERT INTO probe_me VALUES (1000, 'it''s \\ not run')")
    assert (write["class"], write["target"], write["server"], write["reason"]) == ("write", "primary", "pg0", "write")
    assert write["statement"] == "INSERT INTO probe_me VALUES (1000, 'it''s \\ not run')"
    assert conn.execute("SELECT count(*) FROM probe_me WHERE id = 1000").fetchone() == (0,)
    (volatile,) = explain(conn, "SELECT pg_notify('a', 'b')")
    assert volatile["target"] == "primary" and "pg_notify" in volatile["path"]
    (listen,) = explain(conn, "LISTEN x")
    assert listen["pin"] == "listen" and listen["class"] == "session"
    (wrong,) = explain(conn, "SELEC 1")
    assert wrong["verdict"] == "unknown_syntax" and "does not know this form: syntax error" in wrong["path"]


def test_several_statements_are_a_row_each(conn):
    first, second = explain(conn, "SELECT 1; DELETE FROM probe_me WHERE false;")
    assert (first["statement"], first["verdict"]) == ("SELECT 1", "read_safe")
    assert (second["statement"], second["verdict"]) == ("DELETE FROM probe_me WHERE false", "write")
    assert first["reason"] == second["reason"] == "multi_statement"
    assert first["target"] == second["target"] == "primary"


def test_it_is_the_sessions_own_answer(conn):
    with conn.transaction():
        conn.execute("SELECT 1 FROM probe_me FOR UPDATE")
        (row,) = explain(conn, "SELECT 1")
        assert (row["target"], row["server"], row["reason"], row["verdict"]) == (
            "held", "pg0", "in_transaction", "read_safe")  # fmt: skip
    conn.execute("SET default_transaction_isolation = 'serializable'")
    (row,) = explain(conn, "SELECT 1")
    assert (row["target"], row["reason"]) == ("primary", "serializable")


def test_a_failed_block_stays_failed(conn):
    conn.execute("BEGIN")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("SELECT 1/0")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        explain(conn, "SELECT 1")
    conn.execute("ROLLBACK")
    assert explain(conn, "SELECT 1")[0]["target"] == "replica"


def test_parameters_and_names(conn):
    (row,) = explain(conn, "SELECT * FROM probe_me WHERE id = %s AND t = %s", (1, "x"))
    assert row["statement"] == "SELECT * FROM probe_me WHERE id = $1 AND t = $2" and row["target"] == "replica"
    for _ in range(3):
        cursor = conn.execute("EXPLAIN ROUTE UPDATE probe_me SET t = %s WHERE id = %s", ("x", -1), prepare=True)
        assert cursor.fetchone()[1:4] == ("write", "write", "primary")


def test_in_a_pipeline_nothing_breaks(conn):
    with conn.pipeline():
        first = conn.execute("SELECT count(*) FROM probe_me")
        asked = conn.execute("EXPLAIN ROUTE SELECT 1")
        last = conn.execute("SELECT 'end'")
        assert first.fetchone() == (100,)
        assert asked.fetchone()[0] == "SELECT 1"
        assert last.fetchone() == ("end",)


def test_behind_a_write_it_goes_where_the_batch_goes(waypost):
    with waypost.connect() as raw:
        batch = b"".join(
            wire.parse("", sql) + wire.bind("", "") + wire.execute()
            for sql in ("DELETE FROM probe_me WHERE false", "EXPLAIN ROUTE SELECT 1")
        )
        raw.send(batch + wire.sync())
        rows = [m for m in raw.until() if m.type == "D"]
        assert len(rows) == 1 and b"primary" in rows[0].body and b"read_safe" in rows[0].body


@pytest.mark.parametrize("sql", ["EXPLAIN ROUTE", "EXPLAIN ROUTE;", "SELECT 1; EXPLAIN ROUTE SELECT 1"])
def test_what_is_not_the_form_is_the_servers_error(conn, sql):
    with pytest.raises(psycopg.errors.SyntaxError):
        conn.execute(sql)


def test_psql(waypost):
    def psql(*commands, options=("-At",)):
        dsn = f"postgresql://openfire:openfire@127.0.0.1:{waypost.port}/openfire"
        args = [arg for command in commands for arg in ("-c", command)]
        done = subprocess.run(["psql", "-X", *options, dsn, *args], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    fields = psql("EXPLAIN ROUTE SELECT count(*) FROM probe_me").strip().split("|")
    assert fields[:4] == ["SELECT count(*) FROM probe_me", "read", "read_safe", "replica"]
    script = "explain route delete from probe_me \\gdesc\n"
    dsn = f"postgresql://openfire:openfire@127.0.0.1:{waypost.port}/openfire"
    done = subprocess.run(["psql", "-XAt", dsn], input=script, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == [f"{name}|text" for name in COLUMNS], done


def test_no_replica_is_explained(make_waypost):
    made = make_waypost(databases=[{"name": "openfire", "read_from": "none"}])
    with made.connect() as raw:
        (row,) = raw.rows("EXPLAIN ROUTE SELECT 1")
    assert row[3] == "primary" and row[5] == "consistency_primary"


def test_the_same_over_http_and_the_command_line(waypost):
    answer = waypost.route("SELECT 1; LISTEN x")
    assert answer["database"] == "openfire" and answer["target"] == "primary" and answer["server"] == "pg0"
    assert [s["sql"] for s in answer["statements"]] == ["SELECT 1", "LISTEN x"]
    assert [s["reason"] for s in answer["statements"]] == ["read_safe", "session"]
    assert answer["pin"] == answer["statements"][1]["pin"] == "listen" and answer["no_replica"] == []
    status, body = waypost.get("/api/v1/route", {"sql": "SELECT 1", "search_path": "x", "application_name": "y"})
    assert status == 200 and json.loads(body)["database"] == "postgres"
    run = subprocess.run(
        [waypost_process.BINARY, "--config", waypost.config, "route", "SELECT 1; LISTEN x"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert 'no --database given; answering for "postgres"' in run.stderr
    assert "database: postgres" in run.stdout and "pin:      listen" in run.stdout
    assert "statement 2: session, session: LISTEN x" in run.stdout


@pytest.fixture
def two_of_a_name(cluster):
    """A name that is a table in schema public, and a view that writes in the schema of that name."""
    name = new_marker()
    cluster.sql(f"""
        CREATE SCHEMA {name};
        CREATE TABLE public.{name} (id int);
        CREATE FUNCTION {name}.f(i int) RETURNS int LANGUAGE sql VOLATILE AS
          'INSERT INTO public.{name} VALUES (i) RETURNING id';
        CREATE VIEW {name}.{name} AS SELECT {name}.f(1) AS id""")
    yield name
    cluster.sql(f"DROP SCHEMA {name} CASCADE; DROP TABLE public.{name}")


def test_the_path_and_the_search_path_that_was_asked_for(waypost, two_of_a_name):
    name = two_of_a_name

    def ask(search_path):
        body = {"sql": f"SELECT * FROM {name}", "database": "openfire", "user": "openfire", "search_path": search_path}
        status, answer = waypost.get("/api/v1/route", body)
        assert status == 200
        return json.loads(answer)

    with waypost.connect() as raw:  # DDL through Waypost makes it look again
        raw.simple("CREATE TABLE looked_at (); DROP TABLE looked_at")
    waypost_process.eventually(lambda: ask("public")["reason"] == "read_safe", what="the new table known")
    answer = ask(name)
    assert (answer["target"], answer["reason"]) == ("primary", "volatile_function")
    assert answer["path"] == [f"view {name}.{name} → function {name}.f(integer) is volatile"]


def test_a_database_not_asked_for_before_is_known_at_once(make_waypost, cluster):
    name = new_marker()
    cluster.sql(f"CREATE DATABASE {name}", database="postgres")
    cluster.sql("CREATE TABLE here (id int)", database=name)
    made = make_waypost()
    assert made.route("SELECT * FROM here", database=name)["statements"][0]["reason"] == "read_safe"


def test_what_is_too_long_to_be_explained_is_refused_and_the_session_goes_on(waypost):
    longest = "SELECT 1".ljust(32_766) + "+1"
    most = ";".join(["SELECT f()"] * 100)
    with waypost.connect() as raw:
        assert raw.rows("EXPLAIN ROUTE " + longest)[0][3] in ("replica", "primary")
        assert len(raw.rows("EXPLAIN ROUTE " + most)) == 100
        for send in (wire.query, lambda sql: wire.parse("", sql) + wire.bind("", "") + wire.execute() + wire.sync()):
            for question, told in ((longest + "+1", "has 32770 bytes"), (most + ";SELECT 1", "100 statements")):
                raw.send(send("EXPLAIN ROUTE " + question))
                (error,) = [wire.error_fields(m.body) for m in raw.until("Z") if m.type == "E"]
                assert error["C"] == "54000" and told in error["D"]
                assert raw.rows("SELECT 1") == [["1"]]


def test_pins_that_are_refused_are_explained(make_waypost):
    made = make_waypost(sections={"pool": {"pins": "refuse"}})
    with made.connect() as raw:
        (row,) = raw.rows("EXPLAIN ROUTE LISTEN x")
        assert row[3] == "refused" and row[7] == "listen"
        assert raw.rows("EXPLAIN ROUTE SELECT 1")[0][3] in ("replica", "primary")
