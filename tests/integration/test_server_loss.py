"""A server connection that ends under a client: the client stays, and hears what became of its transaction."""

import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy


def lose(cluster, conn):
    """Ends the server connection that `conn` holds in its transaction."""
    pid = conn.value("SELECT pg_backend_pid()")
    cluster.terminate(f"pid = {pid}")


def sqlstate(messages):
    return [m for m in messages if m.type == "E"][0].body.split(b"\0C")[1].split(b"\0")[0].decode()


def test_the_next_statement_hears_of_it_then_the_block_is_failed(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("BEGIN")
        lose(cluster, conn)
        conn.send(wire.query("SELECT 1"))
        first = conn.until()
        assert (sqlstate(first), first[-1].body) == ("40001", b"E")
        conn.send(wire.query("SELECT 1"))
        assert sqlstate(conn.until()) == "25P02"
        conn.rows("ROLLBACK")
        assert conn.value("SELECT 7") == "7"


def test_a_commit_that_cannot_be_is_an_error(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("BEGIN")
        lose(cluster, conn)
        conn.send(wire.query("COMMIT"))
        replies = conn.until()
        assert (sqlstate(replies), replies[-1].body) == ("40001", b"I")
        assert conn.value("SELECT 7") == "7"


def test_a_tied_session_ends_with_its_server_connection(cluster, waypost):
    with waypost.connect() as conn:
        conn.rows("CREATE TEMP TABLE gone (i int)")
        pid = conn.value("SELECT pg_backend_pid()")
        cluster.terminate(f"pid = {pid}")
        replies = conn.until()
        assert sqlstate(replies) in ("08006", "57P01") and b"FATAL" in replies[0].body


def run_named(name, sql=None):
    """Bind and Execute of a named statement; with `sql`, after its Parse."""
    return (wire.parse(name, sql) if sql else b"") + wire.bind("", name) + wire.execute() + wire.sync()


def open_block_and_lose_it(cluster, conn):
    conn.rows("BEGIN")
    conn.rows("CREATE TABLE never (i int)")
    cluster.terminate(f"pid = {conn.value('SELECT pg_backend_pid()')}")


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_a_statement_parsed_while_the_server_is_gone_is_known_afterwards(cluster, waypost, end):
    """Drivers name their ROLLBACK once and bind it from then on."""
    with waypost.connect() as conn:
        open_block_and_lose_it(cluster, conn)
        conn.send(wire.query("SELECT 1"))
        assert sqlstate(conn.until()) == "40001"
        conn.send(run_named("ends", end))
        assert conn.until()[-1].body == b"I"
        for _ in range(2):
            open_block_and_lose_it(cluster, conn)
            conn.send(wire.query("SELECT 1"))
            assert sqlstate(conn.until()) == "40001"
            conn.send(run_named("ends"))
            answer = conn.until()
            assert [message.type for message in answer] == ["2", "C", "Z"] and answer[-1].body == b"I"
        conn.rows("BEGIN")
        conn.send(run_named("ends"))  # on a server, too
        assert conn.until()[-1].body == b"I"


@pytest.mark.parametrize("extended", [False, True])
def test_a_block_is_over_when_its_commit_is_not_answered(cluster, waypost, extended):
    cluster.sql("""CREATE TABLE IF NOT EXISTS slow_commit (i int);
        CREATE OR REPLACE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER sleeps AFTER INSERT ON slow_commit DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION sleeps()""", user="openfire")  # fmt: skip
    try:
        with waypost.connect() as conn:
            conn.rows("BEGIN")
            conn.rows("INSERT INTO slow_commit VALUES (1)")
            pid = conn.value("SELECT pg_backend_pid()")
            conn.send(run_named("c", "COMMIT") if extended else wire.query("COMMIT"))
            eventually(lambda: cluster.sql(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == [["PgSleep"]])
            cluster.terminate(f"pid = {pid}")
            answer = conn.until()
            assert sqlstate(answer) == "08007" and answer[-1].body == b"I"
            assert conn.value("SELECT 1") == "1"
    finally:
        cluster.sql("DROP TABLE slow_commit", user="openfire")
