"""Many clients on few server connections, and nothing of one client reaches another."""

import threading
import time

import pytest
import wire
from cluster import NAMES, REPLICAS, new_marker
from waypost import eventually

pytestmark = pytest.mark.proxy

FEW = {"server": {"max_connections": 2}}
ONE = {"server": {"max_connections": 1}, "top": {"workers": 1}}


def server_connections(cluster, user="openfire"):
    """{server: client connections of `user` on it}, as the servers count them."""
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}' AND backend_type = 'client backend'"
    return {name: int(cluster.sql(sql, server=name)[0][0]) for name in NAMES}


def test_5000_idle_clients_on_20_server_connections(cluster, make_waypost):
    proxy = make_waypost(sections={"server": {"max_connections": 20}}, wait_for_split=True)
    before = server_connections(cluster)  # of other Wayposts in this run
    conns = [proxy.connect(timeout=30) for _ in range(5000)]
    try:
        for conn in conns[::50]:
            assert conn.value("SELECT count(*) FROM probe_me") == "100"
        for start in range(0, 5000, 500):  # 500 at once
            batch = conns[start : start + 500]
            for number, conn in enumerate(batch):
                conn.send(wire.query(f"SELECT {start + number}"))
            for number, conn in enumerate(batch):
                assert wire.rows(conn.until()) == [[str(start + number)]]
        for number, conn in enumerate(conns[:200]):
            conn.send(wire.query(f"INSERT INTO probe_me VALUES (-{number} - 1, 'x') RETURNING id"))
        for number, conn in enumerate(conns[:200]):
            assert wire.rows(conn.until()) == [[str(-number - 1)]]
        now = server_connections(cluster)
        assert all(now[name] - before[name] <= 20 for name in NAMES), (before, now)
    finally:
        for conn in conns:
            conn.shut()
        cluster.sql("DELETE FROM probe_me WHERE id < 0")
    eventually(lambda: proxy.metric("waypost_client_connections") == 0, what="no clients")


@pytest.mark.rss
def test_memory_of_an_idle_client(make_waypost):
    """A few KiB: no buffer is held while there is no data. The bound is generous; bench/ measures it properly."""
    proxy = make_waypost(wait_for_split=True)
    warm = [proxy.connect() for _ in range(200)]
    before = proxy.rss_bytes()
    conns = [proxy.connect() for _ in range(2000)]
    for conn in conns:
        conn.rows("SELECT count(*) FROM probe_me")
    each = (proxy.rss_bytes() - before) / len(conns)
    for conn in warm + conns:
        conn.shut()
    assert each < 16 * 1024, f"{each:.0f} bytes"


STATE = [  # what one client does, what another asks, what it must be told
    ("SET work_mem = '11MB'", "SHOW work_mem", "4MB"),
    ("SET SESSION work_mem = '11MB'", "SHOW work_mem", "4MB"),
    ("BEGIN; SET LOCAL work_mem = '11MB'; COMMIT", "SHOW work_mem", "4MB"),
    ("SELECT set_config('work_mem', '11MB', false)", "SHOW work_mem", "4MB"),
    ("DO $$ BEGIN PERFORM set_config('work_mem', '11MB', false); END $$", "SHOW work_mem", "4MB"),
    ("UPDATE pg_settings SET setting = '11MB' WHERE name = 'work_mem'", "SHOW work_mem", "4MB"),
    ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
    ("SET DateStyle = German", "SELECT date '2024-05-06' FROM probe_me LIMIT 1", "2024-05-06"),
    ("SET application_name = 'theirs'", "SHOW application_name", ""),
    ("SET my.variable = 'secret'", "SELECT coalesce(current_setting('my.variable', true), '')", ""),
    ("SET statement_timeout = '1ms'", "SELECT count(*) FROM probe_me, pg_sleep(0.05)", "100"),
    ("SET default_transaction_read_only = on", "SHOW transaction_read_only", "off"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", "read committed"),
    ("SET TIME ZONE 'Asia/Tokyo'", "SHOW timezone", "UTC"),
    ("SET NAMES 'LATIN1'", "SHOW client_encoding", "UTF8"),
    ("CREATE TEMP TABLE leak (i int)", "SELECT count(*) FROM pg_class WHERE relname = 'leak' AND pg_table_is_visible(oid)", "0"),
    ("PREPARE leak AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'leak'", "0"),
    ("DECLARE leak CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE name = 'leak'", "0"),
    ("LISTEN leak", "SELECT count(*) FROM pg_listening_channels()", "0"),
    ("SELECT pg_advisory_lock(99)", "SELECT pg_try_advisory_lock(99)", "f"),
    ("BEGIN", "SELECT now() = statement_timestamp() FROM probe_me LIMIT 1", "t"),
    ("SET ROLE pg_read_all_data_not_there", "SELECT current_user", "openfire"),
]  # fmt: skip


@pytest.fixture(scope="module")
def few(cluster):
    """Two server connections a server, shared by this module's tests."""
    import waypost as waypost_process

    with waypost_process.running(cluster, sections=FEW) as made:
        yield made


@pytest.mark.parametrize("theirs, mine, expected", STATE, ids=[s[0][:40] for s in STATE])
def test_nothing_of_one_client_reaches_another(few, theirs, mine, expected):
    """While the first is connected, and after it is gone."""
    with few.connect() as first, few.connect() as second:
        first.simple(theirs)
        for _ in range(4):
            assert second.value(mine) == expected
        if "advisory" in mine:
            first.rows("SELECT pg_advisory_unlock_all()")
    expected_after = "t" if "advisory" in mine else expected
    for _ in range(4):
        with few.connect() as third:
            eventually(lambda third=third: third.value(mine) == expected_after, 5, "the state of the one who left is gone")
            third.simple("SELECT pg_advisory_unlock_all()")


@pytest.mark.parametrize("startup", [{}, {"DateStyle": "SQL"}, {"DateStyle": "German"}, {"DateStyle": "YMD"}])
def test_half_a_datestyle(cluster, make_waypost, startup):
    """SET DateStyle of the format alone keeps the session's order, whatever another session had on that connection."""
    proxy = make_waypost(sections=ONE)
    seen = []
    for port in (cluster.ports["pg0"], proxy.port):
        seen.append([])
        with wire.connect(port, **startup) as conn, wire.connect(port, DateStyle="SQL, YMD") as other:
            for sql in ("SET work_mem = '5MB'", "SET DateStyle = postgres", "SET DateStyle = dmy", "SET DateStyle = 'ISO'", "SELECT set_config('DateStyle', 'sql', false)", "RESET DateStyle"):
                conn.rows(sql)
                other.rows("SET DateStyle = 'German'; RESET DateStyle; SET DateStyle = 'MDY'; SELECT txid_current()")
                seen[-1].append(conn.rows("SHOW DateStyle"))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "steps",
    [
        ["BEGIN; SET client_encoding = 'UTF8'", "RESET client_encoding", "SELECT chr(233)", "COMMIT"],
        ["BEGIN; SET DateStyle = 'ISO'; SET TimeZone = 'Asia/Tokyo'", "RESET DateStyle; RESET TimeZone", "SELECT now()::date", "ROLLBACK"],
        ["SET DateStyle = 'SQL'", "BEGIN; SAVEPOINT s", "RESET DateStyle", "ROLLBACK TO s", "SELECT date '2024-02-03'", "RESET ALL", "COMMIT"],
        ["DO $$ BEGIN PERFORM set_config('my.own', 'x', false); END $$", "SET client_encoding = 'UTF8'", "DISCARD ALL", "SELECT chr(233)"],
        ["BEGIN", "SET LOCAL DateStyle = 'SQL'", "SET DateStyle TO DEFAULT", "SELECT date '2024-02-03'", "ROLLBACK"],
    ],
    ids=lambda steps: steps[-2],
)
def test_reset_tells_the_sessions_own_values(cluster, make_waypost, steps):
    """ParameterStatus behind RESET, on a server connection that was started with other values."""
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as other:
        other.value("SELECT txid_current()")
    seen = []
    for port in (cluster.ports["pg0"], proxy.port):
        with wire.connect(port, "openfire", "openfire", "openfire", client_encoding="LATIN1", DateStyle="German") as conn:
            if port == proxy.port:
                with proxy.connect() as other:
                    other.value("SELECT txid_current()")
            seen.append([sorted((m.type, m.body) for m in conn.simple(sql) if m.type in "SDE") for sql in steps])
    assert seen[0] == seen[1]


def test_interrupted_clients_leave_nothing(few):
    """Clients vanish in a transaction, in COPY, in the middle of a batch; the next one finds a clean connection."""
    for leave in (
        wire.query("BEGIN; CREATE TEMP TABLE gone (i int)"),
        wire.query("COPY probe_me FROM STDIN") + wire.copy_data("-5\tnever\n"),
        wire.parse("", "INSERT INTO probe_me VALUES (-6, 'never')") + wire.bind("", "") + wire.execute(),
        wire.query("SET work_mem = '12MB'; SELECT count(*) FROM probe_me a, probe_me b, probe_me c, probe_me d"),
        wire.query("SELECT i FROM generate_series(1, 5000000) i"),
    ):
        for _ in range(3):
            conn = few.connect()
            conn.send(leave)
            conn.recv() if leave[:1] == b"Q" and b"BEGIN" in leave else None
            conn.shut()
        for _ in range(3):
            with few.connect(timeout=60) as after:
                assert after.value("SHOW work_mem") == "4MB"
                assert after.value("SELECT count(*) FROM probe_me") == "100"
                after.rows("BEGIN; ROLLBACK")


def test_named_statements_work_on_whichever_server_runs_them(cluster, few):
    read = new_marker()
    with few.connect() as a, few.connect() as b:
        for conn, text in ((a, "a"), (b, "b")):
            conn.send(wire.parse("same_name", f"SELECT '{text}' || $1 FROM probe_me WHERE id = 1 /* {read} */"), wire.sync())
            assert wire.sqlstates(conn.until()) == []
        for i in range(20):
            for conn, text in ((a, "a"), (b, "b")):
                conn.send(wire.bind("", "same_name", [str(i)]), wire.execute(), wire.sync())
                assert wire.rows(conn.until()) == [[f"{text}{i}"]]
        ran = cluster.runs(read)
        assert set(ran) <= set(REPLICAS)
        a.rows("BEGIN")
        a.send(wire.bind("", "same_name", ["x"]), wire.execute(), wire.sync())
        assert wire.rows(a.until()) == [["ax"]]
        a.rows("COMMIT")
        assert cluster.runs(read).get("pg0") == 1


def test_200_clients_with_256_statements_each_share(few):
    """pgjdbc keeps 256 names a connection."""
    conns = [few.connect() for _ in range(20)]
    for conn in conns:
        conn.send(*(wire.parse(f"S_{i}", f"SELECT {i} + $1::int") for i in range(256)), wire.sync())
        assert wire.sqlstates(conn.until()) == []
    for i in range(0, 256, 17):
        for number, conn in enumerate(conns):
            conn.send(wire.bind("", f"S_{i}", [str(number)]), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [[str(i + number)]]
    for conn in conns:
        conn.shut()


def test_cached_plan_must_not_change_is_healed(few):
    with few.connect() as a, few.connect() as b:
        a.rows("DROP TABLE IF EXISTS heal; CREATE TABLE heal AS SELECT 1 AS x")
        for conn in (a, b):
            conn.send(wire.parse("h", "SELECT * FROM heal"), wire.bind("", "h"), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [["1"]]
        a.rows("ALTER TABLE heal ADD y int DEFAULT 2")
        for conn in (a, b):
            conn.send(wire.bind("", "h"), wire.execute(), wire.sync())
            replies = conn.until()
            # healed, or PostgreSQL's own answer to a client that prepared before the change
            assert wire.rows(replies) == [["1", "2"]] or wire.sqlstates(replies) == ["0A000"]
        a.rows("DROP TABLE heal")


def test_a_statement_means_what_it_meant_when_it_was_parsed(make_waypost):
    """Parsed again on another connection, it is so under the settings of its Parse: 01/02 is in January or February."""
    proxy = make_waypost(sections={"top": {"workers": 1}, "server": {"max_connections": 2}})
    with proxy.connect() as conn, proxy.connect() as holder:
        conn.rows("SET datestyle = 'ISO, DMY'")
        conn.send(wire.parse("d", "SELECT '01/02/2024'::date + $1::int, pg_is_in_recovery()"), wire.sync())
        conn.until()
        conn.rows("SET datestyle = 'ISO, MDY'")
        holder.rows("BEGIN")
        holder.rows("SELECT pg_is_in_recovery()")  # takes the connection that has it
        for begin in (False, True):
            if begin:
                conn.rows("BEGIN")
            conn.send(wire.bind("", "d", ["0"]), wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [["2024-02-01", "f"]]
            assert conn.value("SHOW datestyle") == "ISO, MDY"
            assert conn.value("SELECT '01/02/2024'::date, pg_is_in_recovery()") == "2024-01-02"
        conn.rows("COMMIT")
        holder.rows("ROLLBACK")
    proxy.counted(1, "waypost_prepared_statement_reprepares_total", at_least=True)


def test_query_wait_timeout(make_waypost):
    proxy = make_waypost(sections={**ONE, "pool": {"query_wait_timeout": "500ms"}})
    with proxy.connect() as holder, proxy.connect() as waiter:
        holder.rows("BEGIN")
        holder.rows("INSERT INTO probe_me VALUES (-7, 'held')")
        start = time.monotonic()
        replies = waiter.simple("INSERT INTO probe_me VALUES (-8, 'waits')")
        assert 0.3 < time.monotonic() - start < 8
        assert len(wire.sqlstates(replies)) == 1
        assert "wait" in wire.error_fields(next(m.body for m in replies if m.type == "E"))["M"].lower()
        holder.rows("ROLLBACK")
    with proxy.connect() as after:
        assert after.value("SELECT count(*) FROM probe_me WHERE id IN (-7, -8)") == "0"


def test_settings_ahead_of_a_batch_without_sync_do_not_end_it(make_waypost):
    """The ReadyForQuery of what Waypost puts ahead came alone, and the batch that ended with Flush was forgotten."""
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as one, proxy.connect() as other:
        one.rows("SET work_mem = '5MB'")
        other.rows("SET work_mem = '6MB'")
        other.rows("SELECT pg_is_in_recovery()")
        one.send(wire.parse("", "SELECT pg_is_in_recovery(), current_setting('work_mem')"), wire.bind("", ""),
                 wire.execute(), wire.flush())
        assert wire.rows(one.until("C")) == [["f", "5MB"]]
        one.send(wire.sync())
        assert [m.type for m in one.until()] == ["Z"]


def test_a_skipped_parse_is_not_believed(make_waypost):
    """After an error the server skips to Sync: what was skipped must not be taken for parsed, least of all by others."""
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as reader, proxy.connect() as owner, proxy.connect() as breaker:
        text = "SELECT pg_is_in_recovery(), 'mine'"
        reader.send(wire.parse("", text), wire.sync())
        reader.until()
        owner.send(wire.parse("", "SELECT pg_is_in_recovery(), 'secret'"), wire.sync())
        owner.until()
        breaker.send(wire.bind("", "nobody"), wire.flush())
        breaker.until("E")
        breaker.send(wire.parse("", text), wire.sync())
        breaker.until()
        reader.send(wire.bind("", ""), wire.execute(), wire.sync())
        assert wire.rows(reader.until()) == [["f", "mine"]]


def test_a_waiter_is_served_when_the_holder_is_done(make_waypost):
    proxy = make_waypost(sections=ONE)
    with proxy.connect() as holder:
        holder.rows("BEGIN")
        holder.rows("CREATE TEMP TABLE IF NOT EXISTS h (i int)")
        waiters = [proxy.connect() for _ in range(20)]
        for number, conn in enumerate(waiters):
            conn.send(wire.query(f"SELECT {number}, pg_is_in_recovery()"))
        holder.rows("ROLLBACK")
        for number, conn in enumerate(waiters):
            assert wire.rows(conn.until()) == [[str(number), "f"]]
            conn.shut()


TWO_USERS = [{"name": "openfire", "password": "openfire"}, {"name": "alice", "password": "alice"}]


def test_no_user_starves_behind_anothers_idle_connections(make_waypost):
    """Two databases and users under one max_connections: idle connections of one make room for the other."""
    proxy = make_waypost(sections={"server": {"max_connections": 2}}, users=TWO_USERS, wait_for_split=True)
    for _ in range(3):
        with proxy.connect() as conn, proxy.connect("alice", database="other") as alice:
            for sql in ("SELECT count(*) FROM probe_me", "SELECT count(*) FROM probe_me, pg_is_in_recovery()"):
                assert conn.value(sql) == "100"
                assert alice.value(sql) == "100"


def test_no_user_starves_behind_anothers_load(make_waypost):
    proxy = make_waypost(sections={"server": {"max_connections": 2}}, users=TWO_USERS)
    stop, failures = threading.Event(), []

    def load():
        try:
            with proxy.connect() as conn:
                while not stop.is_set():
                    conn.rows("SELECT pg_is_in_recovery()")
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with proxy.connect("alice", database="other") as alice:
            start = time.monotonic()
            for _ in range(20):
                assert alice.value("SELECT pg_is_in_recovery()") == "f"
            assert time.monotonic() - start < 20
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failures


def test_session_mode(make_waypost):
    proxy = make_waypost(sections={"pool": {"mode": "session"}})
    with proxy.connect() as a, proxy.connect() as b:
        pids = {a.value("SELECT pg_backend_pid()") for _ in range(5)}
        assert len(pids) == 1 and b.value("SELECT pg_backend_pid()") not in pids
        a.rows("CREATE TEMP TABLE mine AS SELECT 1 AS x")
        a.rows("SELECT pg_advisory_lock(5)")
        assert a.value("SELECT x FROM mine") == "1"
        assert a.value("SELECT pg_advisory_unlock(5)") == "t"


def test_statement_mode_refuses_transactions(make_waypost):
    proxy = make_waypost(users=[{"name": "openfire", "password": "openfire", "pool_mode": "statement"}])
    with proxy.connect() as conn:
        assert conn.value("SELECT 1") == "1"
        assert wire.sqlstates(conn.simple("BEGIN"))
    with proxy.connect() as conn:
        conn.rows("INSERT INTO probe_me VALUES (-9, 'x')")
        conn.rows("DELETE FROM probe_me WHERE id = -9")


def test_max_clients(make_waypost):
    proxy = make_waypost(sections={"listen": {"max_clients": 3}})
    conns = [proxy.connect() for _ in range(3)]
    with pytest.raises(wire.ServerError) as refused:
        proxy.connect()
    assert refused.value.sqlstate == "53300"
    for conn in conns:
        conn.shut()

    def served_again():
        try:
            with proxy.connect() as conn:
                return conn.value("SELECT 1") == "1"
        except wire.ServerError:
            return False

    eventually(served_again, what="a free place")


def test_max_clients_of_a_user(make_waypost):
    proxy = make_waypost(users=[{"name": "openfire", "password": "openfire"},
                                {"name": "alice", "password": "alice", "max_clients": 1}])  # fmt: skip
    with proxy.connect("alice", database="other") as conn, proxy.connect() as other:
        with pytest.raises(wire.ServerError) as refused:
            proxy.connect("alice", database="other")
        assert refused.value.sqlstate == "53300"
        assert conn.value("SELECT 1") == other.value("SELECT 1") == "1"


def test_client_idle_timeout(make_waypost):
    proxy = make_waypost(sections={"limits": {"client_idle_timeout": "300ms"}})
    with proxy.connect() as conn:
        assert conn.value("SELECT 1") == "1"
        assert wire.sqlstates(conn.drain()) in (["57P05"], [])


def test_idle_in_transaction_timeout(make_waypost):
    proxy = make_waypost(sections={"limits": {"idle_in_transaction_timeout": "300ms"}})
    with proxy.connect() as conn:
        conn.rows("BEGIN")
        conn.rows("INSERT INTO probe_me VALUES (-10, 'idle')")
        assert wire.sqlstates(conn.drain()) in (["25P03"], [])
    with proxy.connect() as conn:
        assert conn.value("SELECT count(*) FROM probe_me WHERE id = -10") == "0"


def test_idle_server_connections_are_closed(cluster, make_waypost):
    proxy = make_waypost(users=TWO_USERS, sections={"pool": {"idle_timeout": "300ms"}})
    with proxy.connect("alice", database="other") as conn:
        conn.value("SELECT pg_is_in_recovery()")
        eventually(lambda: server_connections(cluster, "alice") == dict.fromkeys(NAMES, 0), 10, "idle ones closed")
        assert conn.value("SELECT 1") == "1"


def test_lifetime(make_waypost):
    proxy = make_waypost(sections={"pool": {"lifetime": "200ms"}})
    with proxy.connect() as conn:
        first = conn.value("SELECT pg_backend_pid()")
        eventually(lambda: conn.value("SELECT pg_backend_pid()") != first, 10, "another server connection")


def test_a_server_connection_that_dies_idle_is_replaced(cluster, few):
    with few.connect() as conn:
        conn.value("SELECT count(*) FROM probe_me")
        conn.value("SELECT pg_is_in_recovery()")
        for name in NAMES:
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'openfire' AND state = 'idle'",
                        server=name)  # fmt: skip
        for _ in range(5):
            assert conn.value("SELECT count(*) FROM probe_me") == "100"
            assert conn.value("SELECT pg_is_in_recovery()") == "f"


def test_a_server_connection_that_dies_in_a_transaction(cluster, few):
    """The client is told, as PostgreSQL would: 57P01, and nothing is silently continued elsewhere."""
    with few.connect() as conn:
        conn.rows("BEGIN")
        pid = conn.value("SELECT pg_backend_pid()")
        cluster.sql(f"SELECT pg_terminate_backend({pid})")
        replies = conn.simple("SELECT 1")
        assert wire.rows(replies) == [] and (wire.sqlstates(replies) or not replies)
