"""currval() and lastval() never answer with another session's value, and with the session's own from the first time on
that its application was seen asking for one."""

import time

import psycopg
import pytest
import wire
from waypost import eventually

pytestmark = pytest.mark.proxy

ONE = {"top": {"workers": 1}, "server": {"max_connections": 1}}
FEW = {"top": {"workers": 1}, "server": {"max_connections": 4}}


@pytest.fixture(autouse=True)
def table(cluster):
    cluster.sql("DROP TABLE IF EXISTS seq_t; CREATE TABLE seq_t (id serial PRIMARY KEY, t text)", user="openfire")


def test_another_sessions_value_is_never_told(make_waypost):
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as one, proxy.connect() as other:
        for conn in (one, other, one, other):
            conn.rows("INSERT INTO seq_t (t) VALUES ('x')")
        for sql in ("SELECT lastval()", "SELECT currval('seq_t_id_seq')"):
            assert wire.sqlstates(one.simple(sql)) == ["55000"]
            assert wire.sqlstates(other.simple(sql)) == ["55000"]


def test_an_own_older_value_is_never_told(make_waypost):
    """Values taken on two connections: the one at hand may have the older."""
    proxy = make_waypost(sections={"top": {"workers": 1}, "server": {"max_connections": 2}})
    with proxy.connect() as conn, proxy.connect() as holder:
        conn.rows("INSERT INTO seq_t (t) VALUES ('first')")
        holder.rows("BEGIN")
        first = holder.value("SELECT pg_backend_pid(), pg_is_in_recovery()")
        conn.rows("INSERT INTO seq_t (t) VALUES ('second')")
        second = conn.value("SELECT pg_backend_pid(), pg_is_in_recovery()")
        assert first != second
        holder.rows("ROLLBACK")
        assert wire.sqlstates(conn.simple("SELECT lastval()")) == ["55000"] or conn.value("SELECT lastval()") == "2"


def test_the_first_to_ask_is_answered(make_waypost):
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as other, proxy.connect() as conn:
        other.rows("INSERT INTO seq_t (t) VALUES ('other')")
        taken = conn.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id")
        other.rows("SELECT count(*) FROM seq_t")
        assert conn.value("SELECT currval('seq_t_id_seq')") == taken
        assert conn.value("SELECT lastval()") == taken


def test_others_leave_the_connection_for_a_moment(make_waypost):
    proxy = make_waypost(sections=FEW)
    conns = [proxy.connect() for _ in range(3)]
    for conn in conns:  # so many server connections
        conn.rows("BEGIN")
        conn.rows("SELECT 1 FROM seq_t")
        conn.rows("SELECT pg_current_xact_id()")
    for conn in conns:
        conn.rows("COMMIT")
    taken = [conn.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id") for conn in conns]
    assert [conn.value("SELECT lastval()") for conn in conns] == taken
    for conn in conns:
        conn.shut()


def test_values_of_two_sequences_and_two_sessions(make_waypost, cluster):
    """Behind an UPDATE by which nobody knows what was taken, and in a block."""
    cluster.sql("DROP SEQUENCE IF EXISTS seq_other; CREATE SEQUENCE seq_other", user="openfire")
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as other, proxy.connect() as conn:
        other.rows("SELECT nextval('seq_other')")
        conn.rows("BEGIN")
        conn.rows("INSERT INTO seq_t (t) VALUES ('x')")
        assert wire.sqlstates(conn.simple("SELECT currval('seq_other')")) == ["55000"]
        conn.rows("ROLLBACK")


def test_once_seen_it_works(make_waypost):
    proxy = make_waypost(sections=FEW)
    with proxy.connect() as teacher:
        assert wire.sqlstates(teacher.simple("SELECT lastval()")) == ["55000"]
    conns = [proxy.connect() for _ in range(3)]
    for _ in range(5):
        taken = [conn.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id") for conn in conns]
        for conn, value in zip(conns, taken):
            assert conn.value("SELECT currval('seq_t_id_seq')") == value
            assert conn.value("SELECT lastval()") == value
    conns[0].rows("DISCARD SEQUENCES")
    assert wire.sqlstates(conns[0].simple("SELECT lastval()")) == ["55000"]
    for conn in conns:
        conn.shut()


def test_in_one_transaction_it_works_at_once(make_waypost):
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as one, proxy.connect() as other:
        other.rows("INSERT INTO seq_t (t) VALUES ('other')")
        one.rows("BEGIN")
        taken = one.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id")
        assert one.value("SELECT currval('seq_t_id_seq')") == taken
        one.rows("COMMIT")
        taken = one.value("INSERT INTO seq_t (t) VALUES ('y') RETURNING id")
        assert one.value("SELECT lastval()") == taken


def test_psycopg(make_waypost):
    proxy = make_waypost(sections=FEW)
    dsn = f"host=127.0.0.1 port={proxy.port} user=openfire password=openfire dbname=openfire"
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as other:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            one.execute("SELECT lastval()")
        for _ in range(10):
            mine = one.execute("INSERT INTO seq_t (t) VALUES (%s) RETURNING id", ("x",)).fetchone()
            other.execute("INSERT INTO seq_t (t) VALUES (%s)", ("y",))
            assert one.execute("SELECT currval(%s)", ("seq_t_id_seq",)).fetchone() == mine
            assert one.execute("SELECT lastval()").fetchone() == mine


def test_who_asked_long_ago_is_not_tied_for_good(make_waypost):
    """What he took he finds all the same, and he is tied again from then on."""
    proxy = make_waypost(sections={**FEW, "pool": {"sequence_memory": "1500ms"}})

    def tied():
        return proxy.metric("waypost_sessions_pinned", reason="sequence_value")

    with proxy.connect() as conn, proxy.connect() as other:
        conn.rows("INSERT INTO seq_t (t) VALUES ('x')")
        assert conn.value("SELECT lastval()") == "1"
        assert other.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id") == "2"
        assert conn.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id") == "3"
        eventually(lambda: tied() == 2, what="sessions that are tied")
        time.sleep(2)
        conn.rows("LISTEN seq_channel")  # ties it by itself
        for _ in range(2):
            taken = [c.value("INSERT INTO seq_t (t) VALUES ('x') RETURNING id") for c in (conn, other)]
        eventually(lambda: tied() == 0, what="sessions that are not")
        proxy.counted(1, "waypost_sessions_pinned", reason="listen")
        assert [c.value("SELECT lastval()") for c in (conn, other)] == taken
        other.rows("INSERT INTO seq_t (t) VALUES ('x')")
        eventually(lambda: tied() == 1, what="a session that is tied again")
