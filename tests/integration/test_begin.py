"""BEGIN is answered at once and costs no server connection until its block has a statement; what the block does is what
it does on PostgreSQL (the transcripts kept_begin, transactions and pgjdbc_begin compare that byte by byte)."""

import pytest
import wire
from cluster import REPLICAS, new_marker

pytestmark = pytest.mark.proxy

ONE = {"top": {"workers": 1}, "server": {"max_connections": 1}}


def test_an_empty_block_costs_no_server_connection(make_waypost):
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as holder, proxy.connect() as other:
        holder.rows("BEGIN")
        assert holder.value("SELECT pg_is_in_recovery()") == "f"  # the only connection of the primary
        assert [m.type for m in other.simple("BEGIN")] == ["C", "Z"]
        assert other.simple("SET TRANSACTION READ WRITE")[-1].body == b"T"
        assert [m.type for m in other.simple("COMMIT")] == ["C", "Z"]
        holder.rows("COMMIT")


def test_a_block_begun_waits_for_a_connection_and_may_fail(make_waypost):
    proxy = make_waypost(sections={**ONE, "pool": {"query_wait_timeout": "300ms"}})
    with proxy.connect() as holder, proxy.connect() as other:
        holder.rows("BEGIN")
        holder.rows("SELECT pg_is_in_recovery()")
        other.rows("BEGIN")
        replies = other.simple("SELECT pg_is_in_recovery()")
        assert wire.sqlstates(replies) == ["53300"] and replies[-1].body == b"E"
        assert wire.sqlstates(other.simple("SELECT 1")) == ["25P02"]
        replies = other.simple("COMMIT")
        assert replies[0].body == b"ROLLBACK\0" and replies[-1].body == b"I"
        holder.rows("COMMIT")
        assert other.value("SELECT pg_is_in_recovery()") == "f"


@pytest.mark.parametrize(
    "begin, first, where",
    [
        (["BEGIN"], "SELECT count(*) FROM probe_me", {"pg0"}),
        (["BEGIN READ ONLY"], "SELECT count(*) FROM probe_me", set(REPLICAS)),
        (["BEGIN", "SET TRANSACTION READ ONLY"], "SELECT count(*) FROM probe_me", set(REPLICAS)),
        (["BEGIN READ ONLY", "SET TRANSACTION READ WRITE"], "SELECT count(*) FROM probe_me", {"pg0"}),
        (["BEGIN READ ONLY, ISOLATION LEVEL SERIALIZABLE, DEFERRABLE"], "SELECT count(*) FROM probe_me", {"pg0"}),
        (["START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"], "SELECT count(*) FROM probe_me", set(REPLICAS)),
        (["SET default_transaction_read_only = 'yes'", "BEGIN"], "SELECT count(*) FROM probe_me", set(REPLICAS)),
        (["SET default_transaction_read_only = 'no'", "BEGIN"], "SELECT count(*) FROM probe_me", {"pg0"}),
        (["SET default_transaction_read_only = f", "BEGIN"], "SELECT count(*) FROM probe_me", {"pg0"}),
        (["BEGIN READ ONLY"], "SELECT count(*) FROM pg_stat_activity", {"pg0"}),
        (["BEGIN READ ONLY"], "DECLARE c CURSOR FOR SELECT * FROM probe_me", set(REPLICAS)),
        (["BEGIN READ ONLY"], "SAVEPOINT s", set(REPLICAS)),
        (["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "BEGIN"], "SELECT count(*) FROM probe_me", set(REPLICAS)),
        (["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "BEGIN READ WRITE"], "SELECT count(*) FROM probe_me", {"pg0"}),
    ],
)
def test_the_first_statement_decides_where_the_block_runs(cluster, waypost, begin, first, where):
    one, two = new_marker(), new_marker()
    with waypost.connect() as conn:
        for sql in begin:
            assert wire.sqlstates(conn.simple(sql)) == []
        assert wire.sqlstates(conn.simple(f"{first} /* {one} */")) == []
        conn.rows(f"SELECT t FROM probe_me WHERE id = 1 /* {two} */")
        conn.rows("COMMIT")
    ran = cluster.where(one)
    assert ran in where
    assert cluster.where(two) == ran


def test_eager(cluster, make_waypost):
    proxy = make_waypost(sections={"routing": {"begin": "eager"}})
    marker = new_marker()
    with proxy.connect() as conn:
        conn.rows(f"BEGIN /* {marker} */")
        assert cluster.where(marker) == "pg0"
        conn.rows("ROLLBACK")


def test_a_begun_block_times_out_as_idle_in_transaction(make_waypost):
    proxy = make_waypost(sections={"limits": {"idle_in_transaction_timeout": "300ms"}})
    with proxy.connect() as conn:
        conn.rows("BEGIN")
        assert wire.sqlstates(conn.drain()) == ["25P03"]


def test_settings_go_ahead_of_the_begin(make_waypost):
    """They are the session's, not the block's: its rollback leaves them."""
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as one, proxy.connect() as other:
        one.rows("SET work_mem = '5MB'")
        other.rows("SET work_mem = '6MB'")
        one.rows("BEGIN")
        assert one.value("SHOW work_mem") == "5MB"
        one.rows("ROLLBACK")
        assert one.value("SHOW work_mem") == "5MB"
        assert other.value("SHOW work_mem") == "6MB"


def test_the_first_statement_of_a_lost_block(cluster, make_waypost):
    """A read-write block whose server connection is lost with its first statement failed: 40001, then 25P02."""
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as conn:
        conn.rows("BEGIN")
        replies = conn.simple("SELECT pg_terminate_backend(pg_backend_pid())")
        assert wire.sqlstates(replies) == ["40001"] and replies[-1].body == b"E"
        assert wire.sqlstates(conn.simple("SELECT 1")) == ["25P02"]
        conn.rows("ROLLBACK")
        assert conn.value("SELECT count(*) FROM probe_me") == "100"
