"""A server connection that ends under a client: the client stays, and hears what became of its transaction."""

import pytest
import wire

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
