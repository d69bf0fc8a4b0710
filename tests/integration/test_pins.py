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


def pinned(proxy, reason):
    return proxy.metric("waypost_session_pins_total", reason=reason) - proxy.metric(
        "waypost_session_unpins_total", reason=reason
    )


@pytest.fixture
def one(make_waypost):
    """One server connection on each side: a session that is tied keeps it from all others."""
    return make_waypost(sections={**ONE, "pool": {"query_wait_timeout": "2s"}})


def is_free(proxy, attempts=1):
    """True if another session gets the only server connection; where it should, a busy machine is given time."""
    for _ in range(attempts):
        with proxy.connect() as other:
            if wire.sqlstates(other.simple("SELECT pg_is_in_recovery()")) == []:
                return True
    return False


@pytest.mark.parametrize(
    "begins, ends, reason",
    [
        (["CREATE TEMP TABLE t (i int)"], ["DROP TABLE t"], "temporary_table"),
        (["SELECT 1 AS x INTO TEMP t"], ["DISCARD TEMP"], "temporary_table"),
        (["LISTEN a", "LISTEN b"], ["UNLISTEN a", "UNLISTEN *"], "listen"),
        (["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_lock(1)"],
         ["SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock(1)"], "advisory_lock"),
        (["SELECT pg_try_advisory_lock(2, 3)"], ["SELECT pg_advisory_unlock_all()"], "advisory_lock"),
        (["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "COMMIT"], ["CLOSE c"], "hold_cursor"),
        (["PREPARE q AS SELECT 1"], ["EXECUTE q", "DEALLOCATE q"], "sql_prepare"),
        (["CREATE TEMP TABLE t (i int)", "LISTEN a"], ["DROP TABLE t", "DISCARD ALL"], "listen"),
        (["DO $$ BEGIN CREATE TEMP TABLE t (i int); END $$"], ["DROP TABLE t"], "temporary_table"),
        (["DO $$ BEGIN PERFORM pg_advisory_lock(7); END $$"], ["SELECT pg_advisory_unlock(7)"], "advisory_lock"),
        (["LISTEN a"], ["DISCARD ALL"], "listen"),
        (["SELECT setseed(0.5)"], None, "set_seed"),
        (["SET seed = 0.5"], None, "set_seed"),
        (["DO $$ BEGIN PERFORM set_config('my.thing', 'x', false); END $$"], ["DISCARD ALL"], "unknown_state"),
    ],
)  # fmt: skip
def test_a_pin_begins_and_ends(one, begins, ends, reason):
    with one.connect() as conn:
        for sql in begins:
            conn.rows(sql)
        assert not is_free(one)
        assert pinned(one, reason) == 1
        for number, sql in enumerate(ends or ["DISCARD ALL"]):
            conn.rows(sql)
            ended = ends is not None and number == len(ends) - 1
            assert is_free(one, 5 if ended else 1) == ended, sql
        assert conn.value("SELECT 1") == "1"


def test_a_loaded_library_ties_for_good(make_waypost):
    users = [{"name": "openfire", "password": "openfire"}, {"name": "postgres", "password": "secret"}]
    proxy = make_waypost(sections={**ONE, "pool": {"query_wait_timeout": "2s"}}, users=users)
    assert is_free(proxy, 5)
    with proxy.connect("postgres", "secret") as conn:
        conn.rows("LOAD 'auto_explain'")
        conn.rows("DISCARD ALL")
        assert not is_free(proxy)


@pytest.mark.parametrize(
    "script",
    [
        ["DO $$ BEGIN PERFORM 1; END $$"],
        ["SELECT pg_try_advisory_lock(99)"],  # held by another
        ["BEGIN", "CREATE TEMP TABLE od (i int) ON COMMIT DROP", "COMMIT"],
        ["BEGIN", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", "COMMIT"],
        ["BEGIN", "LISTEN a", "ROLLBACK"],
        ["SELECT noisy(1)"],
        ["CALL proc(1)"],
        ["BEGIN", "SELECT noisy(1)", "ROLLBACK"],
    ],
)
def test_what_leaves_nothing_behind_ties_nothing(cluster, one, script):
    cluster.sql(
        "CREATE OR REPLACE FUNCTION noisy(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 + 1; END';"
        "CREATE OR REPLACE PROCEDURE proc(int) LANGUAGE plpgsql AS 'BEGIN PERFORM $1; END'",
        user="openfire",
    )
    with cluster.connect() as holder, one.connect() as conn:
        holder.rows("SELECT pg_advisory_lock(99)")
        for sql in script:
            conn.rows(sql)
        assert is_free(one, 5)


def test_what_did_not_even_parse_ties_nothing(one):
    with one.connect() as conn:
        assert is_free(one)
        audits = one.metric("waypost_session_audits_total")
        typo = "SELEC execute FROM load"
        assert wire.sqlstates(conn.simple(typo)) == ["42601"] and is_free(one)
        for sql in (typo, "CREATE TEMP TABLE t (i int) nonsense", "SELECT setseed('x', no_such_column)"):
            conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.sync())
            assert len(wire.sqlstates(conn.until())) == 1 and is_free(one), sql
        conn.rows("BEGIN")
        assert wire.sqlstates(conn.simple(typo)) == ["42601"]
        assert wire.sqlstates(conn.simple("LISTEN a")) == ["25P02"]
        conn.rows("ROLLBACK")
        assert is_free(one)
        one.counted(audits, "waypost_session_audits_total")
        # what ran before the error stays
        conn.send(wire.parse("", "SELECT setseed(0.5)"), wire.bind("", ""), wire.execute(), wire.sync(),
                  wire.parse("", typo), wire.bind("", ""), wire.execute(), wire.sync())  # fmt: skip
        conn.until()
        conn.until()
        assert not is_free(one)


def test_settings_that_a_function_changed_stay_the_sessions(cluster, one):
    cluster.sql(
        "CREATE OR REPLACE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN SET work_mem = '7MB';"
        " SET datestyle TO 'German'; SET ROLE pg_monitor; END $f$",
        user="openfire",
    )
    cluster.sql("GRANT pg_monitor TO openfire; GRANT EXECUTE ON FUNCTION sets TO PUBLIC")
    with one.connect() as conn:
        conn.rows("SET maintenance_work_mem = '9MB'")
        conn.rows("SET my.own = 'mine'")
        conn.rows("SELECT sets()")
        with one.connect() as other:
            assert other.rows("SHOW work_mem; SHOW datestyle; SELECT current_user; SHOW maintenance_work_mem") == [
                ["4MB"], ["ISO, MDY"], ["openfire"], ["64MB"]]  # fmt: skip
        assert conn.rows("SHOW work_mem; SHOW datestyle; SELECT current_user; SHOW maintenance_work_mem; SHOW my.own") == [
            ["7MB"], ["German, DMY"], ["pg_monitor"], ["9MB"], ["mine"]]  # fmt: skip
        conn.rows("DO $$ BEGIN RESET work_mem; RESET ROLE; END $$")
        with one.connect() as other:
            assert other.value("SHOW work_mem") == "4MB"
        assert conn.rows("SHOW work_mem; SELECT current_user; SHOW datestyle") == [["4MB"], ["openfire"], ["German, DMY"]]
        conn.rows("RESET ALL")
        assert conn.rows("SHOW datestyle; SHOW maintenance_work_mem") == [["ISO, MDY"], ["64MB"]]


def test_a_function_that_may_set_what_cannot_be_listed_ties_the_session(cluster, one):
    cluster.sql("CREATE OR REPLACE FUNCTION login_as(text) RETURNS void LANGUAGE plpgsql AS"
                " $f$ BEGIN PERFORM set_config('app.who', $1, false); END $f$", user="openfire")  # fmt: skip
    try:
        with one.connect() as conn:
            conn.rows("SELECT login_as('me')")
            assert not is_free(one)
            assert conn.value("SHOW app.who") == "me"
            conn.rows("DISCARD ALL")
            assert is_free(one, 5)
    finally:
        cluster.sql("DROP FUNCTION login_as(text)", user="openfire")


def test_pins_are_counted(make_waypost):
    proxy = make_waypost()
    with proxy.connect() as conn:
        conn.rows("LISTEN a")
        conn.rows("CREATE TEMP TABLE t (i int)")
        from waypost import eventually
        eventually(lambda: proxy.metric("waypost_sessions_pinned") == 1, what="the gauge")
        conn.rows("DISCARD ALL")
        eventually(lambda: proxy.metric("waypost_sessions_pinned") == 0, what="the gauge")
        pins = proxy.metric("waypost_session_pins_total")
        assert pins > 0
        proxy.counted(pins, "waypost_session_unpins_total")


def test_the_next_batch_waits_for_the_audit(one):
    with one.connect() as conn:
        conn.send(*(wire.query("DO $$ BEGIN PERFORM 1; END $$") + wire.query(f"SELECT {i}") for i in range(20)))
        got = []
        while len(got) < 20:
            got += wire.rows(conn.until())
        assert got == [[str(i)] for i in range(20)]
