"""pg_prepared_statements shows each client its own statements, whatever server connection it asks on."""

import pytest
import waypost as waypost_process
import wire

pytestmark = pytest.mark.proxy

NAMES = "SELECT name FROM pg_prepared_statements ORDER BY prepare_time"


@pytest.fixture
def proxy(make_waypost):
    """One server connection: its clients follow each other there."""
    return make_waypost(sections={"server": {"max_connections": 1}, "top": {"workers": 1}})


def prepare(conn, **statements):
    for name, sql in statements.items():
        conn.send(wire.parse(name, sql), wire.describe("S", name), wire.sync())
        assert not wire.sqlstates(conn.until())


def run(conn, name):
    conn.send(wire.bind("", name), wire.execute(), wire.sync())
    return conn.until()


def names(conn, sql=NAMES):
    return [row[0] for row in conn.rows(sql)]


def test_clients_that_share_a_connection_see_their_own(proxy):
    with proxy.connect() as one, proxy.connect() as other:
        prepare(one, a="SELECT 'one a'", b="SELECT 'same'")
        prepare(other, a="SELECT 'other a'", c="SELECT 'same'")
        for _ in range(2):
            assert names(one) == ["a", "b"]
            assert names(other) == ["a", "c"]
            assert wire.rows(run(one, "a")) == [["one a"]]
            assert names(other) == ["a", "c"]
            assert wire.rows(run(one, "b")) == wire.rows(run(other, "c")) == [["same"]]
        one.send(wire.close("S", "a"), wire.sync())
        one.until()
        assert names(one) == ["b"] and names(other) == ["a", "c"]
    with proxy.connect() as third:
        assert names(third) == []
        third.rows("PREPARE a AS SELECT 3")
        assert names(third) == ["a"]
        assert third.rows("EXECUTE a") == [["3"]]


def test_a_view_and_a_function_that_read_it(cluster, proxy):
    cluster.sql("CREATE VIEW seen AS SELECT name FROM pg_prepared_statements", user="openfire")
    cluster.sql("CREATE FUNCTION count_seen() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM seen); END'", user="openfire")
    try:
        with proxy.connect() as conn:
            conn.rows("CREATE TABLE read_the_catalogue_again (); DROP TABLE read_the_catalogue_again")
            waypost_process.eventually(lambda: "server_local" in str(proxy.route("SELECT * FROM seen")), what="the view is known")
            prepare(conn, a="SELECT 1")
            assert names(conn, "SELECT * FROM seen") == ["a"]
        with proxy.connect() as conn:
            prepare(conn, a="SELECT 1", b="SELECT count_seen()")
            assert conn.value("SELECT count_seen()") == "2"
            assert wire.rows(run(conn, "b")) == [["2"]]
    finally:
        cluster.sql("DROP FUNCTION count_seen(); DROP VIEW seen", user="openfire")


@pytest.mark.parametrize("block", [False, True])
def test_what_can_be_parsed_no_more_disturbs_nothing(cluster, proxy, block):
    cluster.sql("CREATE TABLE gone_soon (a int)", user="openfire")
    with proxy.connect() as conn, proxy.connect() as other:
        prepare(conn, a="SELECT 1", b="SELECT a FROM gone_soon", c="SELECT 3")
        other.rows("DROP TABLE gone_soon")
        other.rows(NAMES)  # what the server connection had is gone
        if block:
            assert wire.types(conn.simple("BEGIN")) == "CZ"
        for _ in range(2):
            assert names(conn) == ["a", "c"]  # a limit: PostgreSQL shows b as well
            conn.send(wire.bind("", "a"), wire.execute(), wire.parse("", NAMES), wire.bind("", ""), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [["1"], ["a"], ["c"]]
        assert wire.rows(run(conn, "c")) == [["3"]]
        if block:
            assert wire.types(conn.simple("COMMIT")) == "CZ"
        assert wire.sqlstates(run(conn, "b")) == ["42P01"]
        conn.rows("CREATE TABLE gone_soon (a int)")
        assert names(conn) == ["a", "b", "c"]
        assert wire.rows(run(conn, "b")) == []
        conn.rows("DROP TABLE gone_soon")


def test_a_shape_that_changed_is_told_as_ever(cluster, proxy):
    cluster.sql("CREATE TABLE reshaped_here (a int)", user="openfire")
    with proxy.connect() as conn, proxy.connect() as other:
        prepare(conn, a="SELECT * FROM reshaped_here", b="SELECT * FROM reshaped_here")
        other.rows("ALTER TABLE reshaped_here ADD COLUMN b text")
        other.rows(NAMES)
        assert names(conn) == ["a", "b"]
        assert wire.sqlstates(run(conn, "a")) == ["0A000"]
        conn.send(wire.close("S", "a"), wire.parse("a", "SELECT * FROM reshaped_here"), wire.describe("S", "a"), wire.sync())
        assert not wire.sqlstates(conn.until())
        assert names(conn) == ["b", "a"]
        assert wire.rows(run(conn, "a")) == [] and wire.sqlstates(run(conn, "b")) == ["0A000"]
        conn.rows("DROP TABLE reshaped_here")


@pytest.mark.parametrize("ends", ["DEALLOCATE ALL", "DEALLOCATE a"])
def test_a_name_given_anew_behind_its_end_in_one_batch(proxy, ends):
    """What the connection has by then is what was parsed last, for this client and for others."""
    with proxy.connect() as one, proxy.connect() as other:
        for ask in (False, True):
            prepare(one, a="SELECT 'a'")
            one.send(wire.parse("", ends), wire.bind("", ""), wire.execute(), wire.parse("a", "SELECT 'a'"))
            if ask:
                one.send(wire.parse("", NAMES), wire.bind("", ""), wire.execute())
            one.send(wire.sync())
            replies = one.until()
            assert not wire.sqlstates(replies) and wire.rows(replies) == ([["a"]] if ask else [])
            prepare(other, a="SELECT 'a'")
            assert wire.rows(run(other, "a")) == wire.rows(run(one, "a")) == [["a"]]
            for conn in (one, other):
                conn.rows("DEALLOCATE ALL")
                assert names(conn) == []


def test_a_session_with_a_connection_of_its_own(make_waypost):
    proxy = make_waypost(sections={"pool": {"mode": "session"}})
    with proxy.connect() as conn:
        prepare(conn, a="SELECT 1", b="SELECT 2")
        assert names(conn) == ["a", "b"]
        prepare(conn, c="SELECT 3")
        conn.send(wire.close("S", "b"), wire.sync())
        conn.until()
        assert names(conn) == ["a", "c"]
        for n in range(1100):  # more than one connection keeps
            conn.send(wire.parse("x", f"SELECT {n}"), wire.close("S", "x"), wire.sync())
            conn.until()
        prepare(conn, b="SELECT 'b'")
        assert names(conn) == ["a", "c", "b"]
        assert [wire.rows(run(conn, name)) for name in "abc"] == [[["1"]], [["b"]], [["3"]]]


def test_a_block_on_a_replica(make_waypost):
    proxy = make_waypost(wait_for_split=True)
    with proxy.connect() as conn:
        prepare(conn, a="SELECT 1", b="SELECT count(*) FROM probe_me")
        conn.rows("BEGIN READ ONLY")
        assert wire.rows(run(conn, "b")) == [["100"]]
        assert names(conn) == ["a", "b"]
        assert wire.rows(run(conn, "b")) == [["100"]]
        assert wire.types(conn.simple("COMMIT")) == "CZ"
