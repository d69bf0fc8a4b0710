"""Which server ran what, by the servers' own logs."""

import threading

import pytest
import waypost as waypost_process
import wire
from cluster import REPLICAS, new_marker

pytestmark = pytest.mark.proxy

# What every peer was seen to get wrong: writers hidden where the text does not show them.
OBJECTS = """
CREATE TABLE w (id int, note text);
CREATE SEQUENCE s;
CREATE UNLOGGED TABLE unlogged (id int);
CREATE FUNCTION my_writer(i int) RETURNS int LANGUAGE sql VOLATILE AS
  'INSERT INTO w VALUES (i, ''writer'') RETURNING id';
CREATE FUNCTION reader(i int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) + i FROM probe_me';
CREATE FUNCTION pure(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
CREATE FUNCTION left_volatile(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
CREATE FUNCTION overloaded(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION overloaded(i text) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO w VALUES (1, i) RETURNING id';
CREATE FUNCTION stable_calls_volatile(i int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN my_writer(i); END';
CREATE VIEW v AS SELECT my_writer(1) AS x;
CREATE VIEW seqview AS SELECT nextval('s') AS x;
CREATE FUNCTION op_writer(a int, b int) RETURNS int LANGUAGE sql VOLATILE AS
  'INSERT INTO w VALUES (a, ''operator'') RETURNING b';
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = op_writer);
CREATE TYPE wtype AS (t text);
CREATE FUNCTION to_wtype(t text) RETURNS wtype LANGUAGE plpgsql VOLATILE AS
  'DECLARE r wtype; BEGIN INSERT INTO w VALUES (3, ''cast''); r.t := t; RETURN r; END';
CREATE CAST (text AS wtype) WITH FUNCTION to_wtype(text);
CREATE FUNCTION agg_step(state int, i int) RETURNS int LANGUAGE sql VOLATILE AS
  'INSERT INTO w VALUES (i, ''aggregate'') RETURNING state + i';
CREATE AGGREGATE wagg(int) (SFUNC = agg_step, STYPE = int, INITCOND = '0');
CREATE TABLE rls (id int);
INSERT INTO rls VALUES (1);
ALTER TABLE rls ENABLE ROW LEVEL SECURITY;
ALTER TABLE rls FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON rls USING (my_writer(id) IS NOT NULL);
CREATE PROCEDURE proc() LANGUAGE sql AS 'INSERT INTO w VALUES (9, ''procedure'')';
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.probe_me (id int PRIMARY KEY, t text);
INSERT INTO elsewhere.probe_me VALUES (1, 'elsewhere');
"""

READS = [
    "SELECT 1",
    "select 1",
    "SELECT t FROM probe_me WHERE id = 1",
    "SELECT count(*), sum(id), min(t), max(ltrim(t)) FROM probe_me",
    "/* leading comment */ SELECT t FROM probe_me WHERE id = 1",
    "-- leading comment\nSELECT t FROM probe_me WHERE id = 1",
    "VALUES (1), (2)",
    "TABLE probe_me",
    "(SELECT 1) UNION ALL (SELECT id FROM probe_me) ORDER BY 1 LIMIT 3",
    "WITH x AS (SELECT * FROM probe_me) SELECT count(*) FROM x",
    "SELECT a.id FROM probe_me a JOIN probe_me b USING (id) WHERE EXISTS (SELECT 1 FROM probe_me c WHERE c.id = a.id)",
    "SELECT t AS notifyDelete, id AS \"update\" FROM probe_me WHERE t <> 'INSERT INTO x' LIMIT 1",
    "SELECT now(), random(), clock_timestamp(), gen_random_uuid()",
    "SELECT id::text || 'x' FROM probe_me WHERE t LIKE 'row%' LIMIT 1",
    "SELECT pg_sleep(0.01)",
    "SELECT current_user, current_database()",
    "COPY probe_me TO STDOUT",
    "COPY (SELECT * FROM probe_me) TO STDOUT",
    "EXPLAIN SELECT * FROM probe_me",
    "EXPLAIN (COSTS OFF) SELECT * FROM probe_me",
    "SELECT 1; SELECT count(*) FROM probe_me",
    "SELECT * FROM generate_series(1, 3) g, unnest(ARRAY[1,2]) u",
    "SELECT row_number() OVER (ORDER BY id) FROM probe_me LIMIT 1",
    "SELECT reader(1)",
    "SELECT pure(id) FROM probe_me LIMIT 1",
]  # fmt: skip

WRITES = [
    "INSERT INTO w VALUES (1, 'x')",
    "UPDATE w SET note = 'y' WHERE id = 1",
    "DELETE from w where id in (select 1)",
    "MERGE INTO w USING (SELECT 1 AS i) x ON w.id = x.i WHEN NOT MATCHED THEN INSERT VALUES (1, 'm')",
    "INSERT INTO w VALUES (1, 'x') RETURNING id",
    "SELECT * FROM probe_me WHERE id = 1 FOR UPDATE",
    "SELECT * FROM (SELECT * FROM probe_me WHERE id = 1 FOR SHARE) x",
    "WITH x AS (SELECT * FROM probe_me WHERE id = 1 FOR KEY SHARE) SELECT * FROM x",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM probe_me WHERE id = 1 FOR NO KEY UPDATE)",
    "WITH x AS (INSERT INTO w VALUES (2, 'cte') RETURNING id) SELECT * FROM x",
    "SELECT * FROM (WITH x AS (SELECT 1 AS a) SELECT * FROM x) y, (SELECT nextval('s')) z",
    "SELECT id INTO TEMP into_temp FROM probe_me",
    "CREATE TABLE IF NOT EXISTS probe_me (id int)",
    "SELECT nextval('s')",
    "SELECT pg_catalog.nextval('public.s')",
    "SELECT setval('s', 5)",
    "SELECT last_value FROM s",
    "SELECT my_writer(1)",
    "SELECT public.my_writer(1)",
    "SELECT * FROM my_writer(1)",
    "SELECT id FROM probe_me WHERE id = 1 AND my_writer(1) = 1",
    "SELECT left_volatile(1)",
    "SELECT overloaded('x')",
    "SELECT stable_calls_volatile(1)",
    "SELECT * FROM v",
    "SELECT * FROM seqview",
    "SELECT 7 <+> 8",
    "SELECT 7 OPERATOR(public.<+>) 8",
    "SELECT 'x'::text::wtype",
    "SELECT CAST('x'::text AS wtype)",
    "SELECT wagg(id) FROM probe_me WHERE id < 3",
    "SELECT * FROM rls",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    "SELECT txid_current_if_assigned()",
    "SELECT pg_notify('c', 'x')",
    "SELECT lo_unlink(lo_create(0))",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_catalog.pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_xact_lock(2)",
    "SELECT pg_is_in_recovery()",
    "SELECT current_setting('transaction_read_only')",
    "SELECT count(*) FROM pg_stat_activity",
    "SELECT count(*) FROM pg_locks",
    "SELECT inet_server_port()",
    "SELECT pg_backend_pid()",
    "SELECT pg_postmaster_start_time()",
    "SELECT pg_current_wal_lsn()",
    "SELECT * FROM unlogged",
    "SELECT set_config('work_mem', '5MB', true)",
    "SHOW transaction_read_only",
    "SHOW work_mem",
    "COPY (SELECT nextval('s')) TO STDOUT",
    "COPY (SELECT * FROM probe_me WHERE id = 1 FOR UPDATE) TO STDOUT",
    "COPY (WITH x AS (INSERT INTO w VALUES (4, 'copy') RETURNING id) SELECT * FROM x) TO STDOUT",
    "COPY (INSERT INTO w VALUES (5, 'copy') RETURNING id) TO STDOUT",
    "EXPLAIN ANALYZE INSERT INTO w VALUES (6, 'explained')",
    "EXPLAIN ANALYZE SELECT my_writer(1)",
    "DO $$ BEGIN PERFORM my_writer(1); END $$",
    "CALL proc()",
    "SELECT 1; INSERT INTO w VALUES (7, 'second')",
    "INSERT INTO w VALUES (8, 'first'); SELECT 1",
    "SELECT * FROM probe_me WHERE id = 1 FOR UPDATE; SELECT 1",
    "ANALYZE probe_me",
    "COMMENT ON TABLE w IS 'comment'",
    "LOCK TABLE w; SELECT 1",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def objects(cluster):
    cluster.sql(OBJECTS, user="openfire")
    cluster.sql("CREATE FUNCTION liar(regclass) RETURNS bigint LANGUAGE internal STABLE AS 'nextval_oid'")


@pytest.fixture(scope="module")
def proxy(cluster, objects):
    """Started after the objects exist, so that its catalogue has them."""
    with waypost_process.running(cluster) as made:
        yield made


@pytest.fixture
def conn(proxy):
    with proxy.connect() as made:
        yield made


def run_simple(conn, sql):
    return conn.simple(sql)


def run_extended(conn, sql):
    conn.send(wire.parse("", sql), wire.bind("", ""), wire.describe("P", ""), wire.execute(), wire.sync())
    return conn.until()


def run_named(conn, sql):
    name = new_marker()
    conn.send(wire.parse(name, sql), wire.sync())
    conn.until()
    conn.send(wire.bind("", name), wire.execute(), wire.sync())
    return conn.until()


def cases(statements):
    for sql in statements:
        for run in (run_simple, run_extended, run_named):
            if run is run_simple or ";" not in sql or "$$" in sql:
                yield pytest.param(run, sql, id=f"{run.__name__[4:]}: {sql[:60]}")


@pytest.mark.parametrize("run, sql", cases(READS))
def test_reads_run_on_a_replica(cluster, conn, marker, run, sql):
    assert wire.sqlstates(run(conn, f"{sql} /* {marker} */")) == []
    assert cluster.where(marker) in REPLICAS


@pytest.mark.parametrize("run, sql", cases(WRITES))
def test_all_else_runs_on_the_primary(cluster, conn, marker, run, sql):
    known = cluster.major >= 15 or not sql.startswith("MERGE")
    assert (wire.sqlstates(run(conn, f"{sql} /* {marker} */")) == []) == known
    if known:  # a server does not log what it cannot parse
        assert cluster.where(marker) == "pg0"


@pytest.mark.parametrize("sql", READS + WRITES, ids=lambda s: s[:60])
def test_route_explains_what_happens(proxy, sql):
    answer = proxy.route(sql)
    assert {"target", "class", "reason"} <= set(answer)
    on_primary = answer["target"] in ("primary", "pg0")
    assert on_primary == (sql in WRITES), answer


@pytest.mark.parametrize("sql", ["SELEKT 1", "SELECT * FROM nowhere", "GRAPH_TABLE (MATCH)"])
def test_what_is_not_understood_goes_to_the_primary(cluster, conn, marker, sql):
    """The primary says whether it is an error. It is logged as a statement only when it parses."""
    with cluster.connect(user="openfire", password="openfire") as direct:
        expected = wire.sqlstates(direct.simple(sql))
    assert wire.sqlstates(conn.simple(f"{sql} /* {marker} */")) == expected
    assert set(cluster.runs(marker)) <= {"pg0"}


def test_a_stable_function_that_writes_is_healed_and_learnt(cluster, conn):
    """A function in C is taken at its word: a replica refuses it (25006), the primary runs it, and from then on only
    that."""
    before, marker = int(conn.value("SELECT nextval('s')")), new_marker()
    for i in (1, 2, 3):
        assert conn.value(f"SELECT liar('s') /* {marker} */") == str(before + i)
    runs = cluster.runs(marker)
    assert runs.pop("pg0") == 3
    assert list(runs.values()) == [1]


def test_an_unlogged_table_created_since(cluster, conn, marker):
    """The catalogue may be older than the table: the primary, or a replica's error healed there."""
    conn.rows("CREATE UNLOGGED TABLE fresh_unlogged AS SELECT 5 AS n")
    try:
        assert conn.value(f"SELECT n FROM fresh_unlogged /* {marker} */") == "5"
    finally:
        conn.rows("DROP TABLE fresh_unlogged")


def test_a_function_that_becomes_volatile(cluster, proxy, conn):
    """A read of yesterday may be a write today: never an error, never lost."""
    conn.rows("CREATE OR REPLACE FUNCTION turncoat() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
    assert conn.value("SELECT turncoat()") == "1"
    conn.rows(
        "CREATE OR REPLACE FUNCTION turncoat() RETURNS int LANGUAGE sql VOLATILE AS "
        "'INSERT INTO w VALUES (123, ''turncoat'') RETURNING id'"
    )
    assert conn.value("SELECT turncoat()") == "123"
    assert cluster.sql("SELECT count(*) FROM w WHERE id = 123") == [["1"]]
    proxy.wait_for_split()  # the catalogue is read again


def test_named_statement_is_routed_by_its_own_text(cluster, conn):
    """Not by the text parsed last."""
    write, read = new_marker(), new_marker()
    conn.send(wire.parse("wr", f"INSERT INTO w VALUES (1, 'n') /* {write} */"), wire.sync())
    conn.send(wire.parse("rd", f"SELECT count(*) FROM probe_me /* {read} */"), wire.sync())
    conn.until("Z", 2)
    for name in ("wr", "rd", "wr", "rd"):
        conn.send(wire.bind("", name), wire.execute(), wire.sync())
        assert wire.sqlstates(conn.until()) == []
    assert cluster.runs(write) == {"pg0": 2}
    runs = cluster.runs(read)
    assert set(runs) <= set(REPLICAS) and sum(runs.values()) >= 2


def test_a_batch_runs_on_one_server(cluster, conn):
    first, second, third = new_marker(), new_marker(), new_marker()
    for sql in (f"SELECT 1 /* {first} */", f"INSERT INTO w VALUES (1, 'b') /* {second} */", f"SELECT 2 /* {third} */"):
        conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute())
    conn.send(wire.sync())
    assert wire.sqlstates(conn.until()) == []
    assert [cluster.where(m) for m in (first, second, third)] == ["pg0"] * 3


def test_a_batch_of_reads_runs_on_one_replica(cluster, conn):
    markers = [new_marker() for _ in range(5)]
    for mark in markers:
        conn.send(wire.parse("", f"SELECT count(*) FROM probe_me /* {mark} */"), wire.bind("", ""), wire.execute())
    conn.send(wire.sync())
    assert wire.sqlstates(conn.until()) == []
    where = {cluster.where(mark) for mark in markers}
    assert len(where) == 1 and where <= set(REPLICAS)


def test_a_failing_batch_undoes_its_write(cluster, conn):
    conn.send(wire.parse("", "INSERT INTO w VALUES (4711, 'undone')"), wire.bind("", ""), wire.execute())
    conn.send(wire.parse("", "SELECT 1/0"), wire.bind("", ""), wire.execute(), wire.sync())
    assert wire.sqlstates(conn.until()) == ["22012"]
    assert cluster.sql("SELECT count(*) FROM w WHERE id = 4711") == [["0"]]


@pytest.mark.parametrize(
    "begin, where",
    [("BEGIN", {"pg0"}), ("START TRANSACTION", {"pg0"}), ("BEGIN ISOLATION LEVEL REPEATABLE READ", {"pg0"}),
     ("BEGIN ISOLATION LEVEL SERIALIZABLE", {"pg0"}), ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", {"pg0"}),
     ("BEGIN READ ONLY", set(REPLICAS)), ("START TRANSACTION READ ONLY", set(REPLICAS)),
     ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", set(REPLICAS)), ("BEGIN READ WRITE", {"pg0"})],
)  # fmt: skip
def test_a_transaction_stays_on_one_server(cluster, conn, begin, where):
    markers = [new_marker() for _ in range(4)]
    conn.rows(begin)
    for mark in markers:
        conn.rows(f"SELECT count(*) FROM probe_me /* {mark} */")
    conn.rows("COMMIT")
    ran = {cluster.where(mark) for mark in markers}
    assert len(ran) == 1 and ran <= where
    after = new_marker()
    conn.rows(f"SELECT count(*) FROM probe_me /* {after} */")
    assert cluster.where(after) in REPLICAS


def test_session_characteristics_read_only(cluster, conn, marker):
    """pgjdbc's setReadOnly(true)."""
    conn.rows("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    conn.rows("BEGIN")
    conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
    assert wire.sqlstates(conn.simple("INSERT INTO w VALUES (1, 'no')")) == ["25006"]
    conn.rows("ROLLBACK")
    assert cluster.where(marker) in REPLICAS
    assert wire.sqlstates(conn.simple("INSERT INTO w VALUES (1, 'no')")) == ["25006"]
    conn.rows("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    conn.rows("INSERT INTO w VALUES (1, 'yes')")


def test_serializable_as_session_default(cluster, conn, marker):
    conn.rows("SET default_transaction_isolation = 'serializable'")
    conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
    assert cluster.where(marker) == "pg0"


@pytest.mark.parametrize(
    "change",
    ["SET search_path = elsewhere", "SELECT set_config('search_path', 'elsewhere', false)",
     "SET search_path = elsewhere; SELECT 1"],
)  # fmt: skip
def test_search_path_follows_the_session(cluster, conn, marker, change):
    conn.simple(change)
    assert conn.rows(f"SELECT t FROM probe_me /* {marker} */") == [["elsewhere"]]
    with_default = new_marker()
    conn.rows("RESET search_path")
    assert conn.value(f"SELECT count(*) FROM probe_me /* {with_default} */") == "100"
    assert cluster.where(with_default) in REPLICAS


def test_settings_are_applied_on_the_replica(cluster, conn, marker):
    conn.rows("SET extra_float_digits = 0; SET DateStyle = 'German'; SET bytea_output = 'escape'")
    sql = f"SELECT 0.1::float8 + 0.2::float8, date '2024-05-06', 'abc'::bytea FROM probe_me WHERE id = 1 /* {marker} */"
    assert conn.rows(sql) == [["0.3", "06.05.2024", "abc"]]
    assert cluster.where(marker) in REPLICAS


def test_prepared_under_other_settings_means_something_else(cluster, proxy):
    """A statement parsed under one search_path or DateStyle is not the same under another."""
    with proxy.connect() as a, proxy.connect() as b:
        b.rows("SET search_path = elsewhere")
        for conn in (a, b, a, b):
            conn.send(wire.parse("x", "SELECT count(*) FROM probe_me"), wire.bind("", "x"), wire.execute(), wire.sync())
            replies = conn.until()
            conn.send(wire.close("S", "x"), wire.sync())
            conn.until()
            assert wire.rows(replies) == [["100" if conn is a else "1"]]
        a.rows("SET DateStyle = 'SQL, DMY'")
        b.rows("SET DateStyle = 'SQL, MDY'")
        for conn, month in ((a, "2"), (b, "1"), (a, "2"), (b, "1")):
            conn.send(wire.parse("", "SELECT extract(month FROM date '01/02/2024')::int"), wire.bind("", ""))
            conn.send(wire.execute(), wire.sync())
            assert wire.rows(conn.until()) == [[month]]


def test_both_replicas_share_the_reads(cluster, proxy, marker):
    conns = [proxy.connect() for _ in range(8)]
    for _ in range(5):
        for conn in conns:
            conn.send(wire.query(f"SELECT count(*) FROM probe_me a, probe_me b, probe_me c /* {marker} */"))
        for conn in conns:
            assert wire.sqlstates(conn.until()) == []
    for conn in conns:
        conn.shut()
    runs = cluster.runs(marker)
    assert set(runs) == set(REPLICAS) and min(runs.values()) >= 10, runs


@pytest.mark.parametrize(
    "routing, expected",
    [({"read_from": "none"}, {"pg0"}), ({"consistency": "primary"}, {"pg0"}),
     ({"consistency": "eventual"}, set(REPLICAS)), ({"read_from_primary": "always"}, {"pg0", *REPLICAS})],
)  # fmt: skip
def test_routing_knobs(cluster, make_waypost, marker, routing, expected):
    proxy = make_waypost(sections={"routing": routing})
    if expected & set(REPLICAS):
        proxy.wait_for_split()
    conns = [proxy.connect() for _ in range(9)]
    for _ in range(4):
        for conn in conns:
            conn.send(wire.query(f"SELECT count(*) FROM probe_me a, probe_me b, probe_me c /* {marker} */"))
        for conn in conns:
            conn.until()
    for conn in conns:
        conn.shut()
    assert set(cluster.runs(marker)) == expected


def test_routing_knobs_of_user_and_database(cluster, make_waypost):
    proxy = make_waypost(
        users=[{"name": "openfire", "password": "openfire"}, {"name": "alice", "password": "alice", "consistency": "primary"}],
        databases=[{"name": "bench", "read_from": "none"}],
        wait_for_split=True,
    )  # fmt: skip
    cluster.sql("GRANT SELECT ON probe_me TO alice", user="openfire")
    mark = new_marker()
    with proxy.connect("alice") as conn:
        conn.rows(f"SELECT count(*) FROM probe_me /* {mark} */")
    assert cluster.where(mark) == "pg0"
    assert proxy.route("SELECT count(*) FROM probe_me", database="bench")["target"] in ("primary", "pg0")


def test_read_from_primary_never(cluster, make_waypost):
    """No replica may be read from, and the primary must not: a clear error, and the session lives on."""
    servers = [{"name": "pg0", "host": "127.0.0.1", "port": cluster.ports["pg0"]}]
    proxy = make_waypost(servers=servers, sections={"routing": {"read_from_primary": "never"}})
    with proxy.connect() as conn:
        conn.rows("CREATE TEMP TABLE ddl_is_fine (i int)")
    with proxy.connect() as conn:
        codes = wire.sqlstates(conn.simple("SELECT count(*) FROM probe_me"))
        assert codes and codes[0][:2] in ("57", "53", "08", "55"), codes
        conn.rows("INSERT INTO w VALUES (1, 'still')")


def test_weight_zero_takes_no_reads(cluster, make_waypost, marker):
    servers = [{"name": n, "host": "127.0.0.1", "port": p, "weight": 0 if n == "pg2" else 1} for n, p in cluster.ports.items()]
    proxy = make_waypost(servers=servers, wait_for_split=True)
    conns = [proxy.connect() for _ in range(6)]
    for conn in conns:
        conn.send(wire.query(f"SELECT count(*) FROM probe_me a, probe_me b, probe_me c /* {marker} */"))
    for conn in conns:
        conn.until()
        conn.shut()
    assert set(cluster.runs(marker)) == {"pg1"}


@pytest.mark.threads
def test_routing_under_load_is_the_same(cluster, proxy):
    """Many clients at once, each with reads, writes and transactions; every statement where it belongs."""
    read, write, failures = new_marker(), new_marker(), []

    def client(number):
        try:
            with proxy.connect() as conn:
                for i in range(30):
                    conn.rows(f"SELECT count(*) FROM probe_me /* {read} */")
                    conn.rows(f"INSERT INTO w VALUES ({number}, 'load {i}') /* {write} */")
                    conn.rows("BEGIN")
                    conn.rows(f"SELECT count(*) FROM w /* {write} */")
                    conn.rows("COMMIT")
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert set(cluster.runs(read)) == set(REPLICAS)
    assert cluster.runs(write) == {"pg0": 600}
