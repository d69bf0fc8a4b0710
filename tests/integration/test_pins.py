"""What ties a session to one server connection, what ends that, and what happens where it is not allowed."""

import pytest
import wire

pytestmark = pytest.mark.proxy

ONE = {"top": {"workers": 1}, "server": {"max_connections": 1}}
PINNING = ["LISTEN c", "CREATE TEMP TABLE t (i int)", "SELECT pg_advisory_lock(4711)", "PREPARE q AS SELECT 1",
           "SELECT setseed(0.5)", "LOAD 'auto_explain'"]  # fmt: skip


@pytest.mark.parametrize("sql", PINNING)
def test_refused_where_pins_are_not_allowed(make_waypost, sql):
    proxy = make_waypost(sections={**ONE, "pool": {"pins": "refuse"}})
    with proxy.connect() as conn, proxy.connect() as other:
        replies = conn.simple(sql)
        assert wire.sqlstates(replies) == ["0A000"] and replies[-1].body == b"I"
        assert 'pins = "refuse"' in wire.error_fields(replies[0].body)["D"]
        assert other.value("SELECT pg_is_in_recovery()") == "f"  # nothing is held
        # by the extended protocol: the parse is fine, what ran before it is undone
        conn.send(wire.parse("", "INSERT INTO probe_me VALUES (-20, 'undone')"), wire.bind("", ""), wire.execute(),
                  wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.sync())  # fmt: skip
        replies = conn.until()
        assert wire.sqlstates(replies) == ["0A000"] and replies[-1].body == b"I"
        conn.rows("BEGIN")
        conn.rows("INSERT INTO probe_me VALUES (-20, 'undone')")
        conn.send(wire.parse("", "SELECT 1"), wire.parse("s", sql), wire.bind("", "s"), wire.execute(), wire.sync())
        replies = conn.until()
        assert wire.sqlstates(replies) == ["0A000"] and replies[-1].body == b"E"
        assert wire.sqlstates(conn.simple("SELECT 1")) == ["25P02"]
        assert conn.simple("COMMIT")[0].body == b"ROLLBACK\0"
        assert conn.value("SELECT count(*) FROM probe_me WHERE id = -20") == "0"
        conn.rows("BEGIN")
        assert conn.simple(sql)[-1].body == b"E"
        conn.rows("ROLLBACK")


def test_what_a_replica_cannot_keep_is_refused_in_its_block(waypost):
    with waypost.connect() as conn:
        conn.rows("BEGIN READ ONLY")
        conn.rows("SELECT count(*) FROM probe_me")
        assert wire.sqlstates(conn.simple("SELECT pg_advisory_lock(4711)")) == ["0A000"]
        conn.rows("ROLLBACK")
        conn.rows("BEGIN READ ONLY")
        conn.rows("DECLARE c CURSOR WITH HOLD FOR SELECT 7")  # first: the block is on the primary
        conn.rows("COMMIT")
        assert conn.value("FETCH c") == "7"
        conn.rows("CLOSE c")
