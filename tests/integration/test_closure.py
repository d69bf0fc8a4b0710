"""Classification by closure: what a statement reaches through views, functions, operators, casts, aggregates, policies
and domains decides where it runs. Which server ran what, by the servers' own logs."""

import json

import older
import pytest
import waypost as waypost_process
import wire
from cluster import REPLICAS, new_marker

pytestmark = [pytest.mark.proxy, pytest.mark.majors]

OBJECTS = """
CREATE SCHEMA closure;
SET search_path = closure;
CREATE TABLE w (id int, note text);
CREATE TABLE t (id int PRIMARY KEY, name text);
INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 10) i;
CREATE SEQUENCE s;
CREATE FUNCTION writer(i int) RETURNS int LANGUAGE sql VOLATILE SET search_path = closure AS
  'INSERT INTO w VALUES (i, ''writer'') RETURNING id';

CREATE FUNCTION reader(i int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) + i FROM closure.t';
CREATE FUNCTION standard(i int) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) + i FROM closure.t; END;
CREATE FUNCTION standard_return(i int) RETURNS int LANGUAGE sql IMMUTABLE RETURN abs(i) + 1;
CREATE FUNCTION standard_writer() RETURNS bigint LANGUAGE sql STABLE RETURN nextval('closure.s');
CREATE FUNCTION twice(i int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT closure.reader(i) + closure.reader(i)';
CREATE FUNCTION calls_writer(i int) RETURNS int LANGUAGE sql STABLE AS 'SELECT closure.writer(i)';
CREATE FUNCTION pl_reader(n int) RETURNS text LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
<<outer>>
DECLARE r record; out text := ''; k closure.t.id%TYPE; whole closure.t%ROWTYPE;
BEGIN
  FOR r IN SELECT * FROM closure.t WHERE t.id <= n LOOP
    IF r.id % 2 = 0 THEN
      out := out || CASE WHEN r.name LIKE 'row%' THEN 'e' ELSE '?' END;
      CONTINUE;
    END IF;
    out := out || 'o';
  END LOOP;
  SELECT * INTO whole FROM closure.t WHERE id = 1;
  whole.name := 'changed';  -- 'update'
  BEGIN
    PERFORM 1 / (n - n);
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  CASE n WHEN 1 THEN k := 1; ELSE k := 2; END CASE;
  RETURN out || whole.name;
END $$;
CREATE FUNCTION pl_calls_writer(i int) RETURNS int LANGUAGE plpgsql STABLE AS
  'BEGIN RETURN closure.writer(i); END';
CREATE FUNCTION pl_dynamic() RETURNS int LANGUAGE plpgsql STABLE AS
  'DECLARE n int; BEGIN EXECUTE ''SELECT 5'' INTO n; RETURN n; END';
CREATE FUNCTION pl_locks() RETURNS int LANGUAGE plpgsql STABLE AS
  'DECLARE n int; BEGIN SELECT id INTO n FROM closure.t WHERE id = 1 FOR UPDATE; RETURN n; END';
CREATE FUNCTION countdown(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN CASE WHEN i <= 0 THEN 0 ELSE closure.countdown(i - 1) END; END';
CREATE FUNCTION ping(i int) RETURNS int LANGUAGE plpgsql STABLE AS
  'BEGIN RETURN CASE WHEN i <= 0 THEN closure.writer(1) ELSE closure.pong(i - 1) END; END';
CREATE FUNCTION pong(i int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN closure.ping(i - 1); END';
CREATE FUNCTION defaulted(i bigint DEFAULT nextval('s')) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT i';
CREATE FUNCTION where_am_i() RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_is_in_recovery()';
CREATE FUNCTION my_xid() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT txid_current()';
CREATE FUNCTION by_count(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION by_count(i int, j int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(i)';
CREATE FUNCTION by_type(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE FUNCTION by_type(i text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(1)';

CREATE VIEW safe_view AS SELECT id, reader(id) AS r FROM t;
CREATE VIEW view_of_view AS SELECT * FROM safe_view WHERE id < 5;
CREATE VIEW writer_view AS SELECT writer(1) AS x;
CREATE VIEW deep_writer_view AS SELECT * FROM (SELECT x FROM writer_view) y;
CREATE VIEW sequence_view AS SELECT nextval('s') AS x;
CREATE VIEW locking_view AS SELECT * FROM t FOR UPDATE;
CREATE VIEW activity_view AS SELECT count(*) AS n FROM pg_stat_activity;
CREATE VIEW stable_view AS SELECT calls_writer(1) AS x;
CREATE VIEW by_type_view AS SELECT by_type(1) AS x;
CREATE MATERIALIZED VIEW m AS SELECT writer(1) AS x;

CREATE FUNCTION op_safe(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = op_safe);
CREATE FUNCTION op_writer(a int, b int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(a)';
CREATE OPERATOR <-+> (LEFTARG = int, RIGHTARG = int, FUNCTION = op_writer);
CREATE OPERATOR !+ (RIGHTARG = int, FUNCTION = by_count);
CREATE TYPE pair AS (a text, b text);
CREATE FUNCTION to_pair(x int) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT x::text, x::text';
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
CREATE TYPE wpair AS (a text);
CREATE FUNCTION to_wpair(x text) RETURNS wpair LANGUAGE sql VOLATILE AS
  'INSERT INTO closure.w VALUES (3, x) RETURNING row(note)::closure.wpair';
CREATE CAST (text AS wpair) WITH FUNCTION to_wpair(text);
CREATE FUNCTION agg_safe(state int, i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN state + i; END';
CREATE AGGREGATE total(int) (SFUNC = agg_safe, STYPE = int, INITCOND = '0');
CREATE FUNCTION agg_final(state int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(state)';
CREATE AGGREGATE wtotal(int) (SFUNC = agg_safe, STYPE = int, INITCOND = '0', FINALFUNC = agg_final);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN checked AS int CHECK (writer(VALUE) > 0);
CREATE TYPE with_checked AS (c checked);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE span AS RANGE (subtype = float8);

CREATE TABLE rls_safe (id int);
INSERT INTO rls_safe VALUES (1);
ALTER TABLE rls_safe ENABLE ROW LEVEL SECURITY;
ALTER TABLE rls_safe FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON rls_safe USING (id > 0 AND id < reader(5));
CREATE TABLE rls_writes (id int);
INSERT INTO rls_writes VALUES (1);
ALTER TABLE rls_writes ENABLE ROW LEVEL SECURITY;
ALTER TABLE rls_writes FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON rls_writes USING (writer(id) IS NOT NULL);
CREATE TABLE rls_insert_only (id int);
ALTER TABLE rls_insert_only ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON rls_insert_only FOR INSERT WITH CHECK (writer(id) IS NOT NULL);

CREATE TABLE generated (id int, double int GENERATED ALWAYS AS (by_count(id) * 2) STORED,
                        stamp int DEFAULT writer(1), dom checked);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE half_unlogged (id int) PARTITION BY RANGE (id);
CREATE UNLOGGED TABLE half_unlogged_1 PARTITION OF half_unlogged FOR VALUES FROM (0) TO (10);
CREATE VIEW unlogged_view AS SELECT * FROM half_unlogged;
CREATE FUNCTION row_writer(closure.t) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(1)';
CREATE FUNCTION row_reader(closure.t) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.name';

CREATE SCHEMA closure_writes;
CREATE FUNCTION closure_writes.same_name() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT closure.writer(1)';
CREATE FUNCTION closure.same_name() RETURNS int LANGUAGE sql STABLE AS 'SELECT 0';
"""

READS = [
    "SELECT reader(1)",
    "SELECT standard(1), standard_return(-1)",
    "SELECT twice(id) FROM t",
    "SELECT pl_reader(5)",
    "SELECT * FROM pl_reader(5)",
    "SELECT countdown(3)",
    "SELECT by_count(1)",
    "SELECT count(*) FROM safe_view",
    "SELECT * FROM view_of_view",
    "SELECT * FROM by_type_view",
    "SELECT * FROM m",
    "SELECT 7 <+> 8, !+ 3",
    "SELECT 5::pair",
    "SELECT total(id) FROM t",
    "SELECT total(id) OVER (ORDER BY id) FROM t",
    "SELECT 5::positive, 'happy'::mood, '[1,2)'::span",
    "SELECT * FROM rls_safe",
    "SELECT * FROM rls_insert_only",
    "SELECT * FROM generated",
    "SELECT * FROM parted WHERE id = 5",
    "SELECT t.row_reader FROM t",
    "COPY (SELECT * FROM safe_view) TO STDOUT",
]  # fmt: skip

# What runs on the primary, and the way there.
WRITES = {
    "SELECT writer(1)": "function closure.writer(integer) is volatile",
    "SELECT calls_writer(1)":
        "function closure.calls_writer(integer) → function closure.writer(integer) is volatile",
    "SELECT pl_calls_writer(1)":
        "function closure.pl_calls_writer(integer) → function closure.writer(integer) is volatile",
    "SELECT standard_writer()": "function closure.standard_writer() → function nextval(regclass) is volatile",
    "SELECT pl_dynamic()": "function closure.pl_dynamic() runs dynamic SQL",
    "SELECT ping(2)": "function closure.ping(integer) → function closure.writer(integer) is volatile",
    "SELECT pong(2)": "function closure.pong(integer) → function closure.ping(integer) → "
                      "function closure.writer(integer) is volatile",
    "SELECT defaulted()": "function closure.defaulted(bigint) → function nextval(regclass) is volatile",
    "SELECT where_am_i()":
        "function closure.where_am_i() → function pg_is_in_recovery: depends on this server's position in the WAL",
    "SELECT my_xid()":
        "function closure.my_xid() → function txid_current: only the primary assigns transaction ids",
    "SELECT by_count(1, 2)": "function closure.by_count(integer, integer) is volatile",
    "SELECT by_type('x'::text)": "function closure.by_type(text) is volatile",
    "SELECT * FROM writer_view": "view closure.writer_view → function closure.writer(integer) is volatile",
    "SELECT * FROM deep_writer_view": "view closure.deep_writer_view → view closure.writer_view → "
                                      "function closure.writer(integer) is volatile",
    "SELECT * FROM sequence_view": "view closure.sequence_view → function nextval(regclass) is volatile",
    "SELECT * FROM locking_view": "view closure.locking_view locks rows",
    "SELECT * FROM activity_view":
        "view closure.activity_view → view pg_stat_activity: each server counts for itself",
    "SELECT * FROM stable_view": "view closure.stable_view → function closure.calls_writer(integer) → "
                                 "function closure.writer(integer) is volatile",
    "SELECT 7 <-+> 8": "operator closure.<-+> → function closure.op_writer(integer, integer) is volatile",
    "SELECT 'x'::text::wpair":
        "type closure.wpair → cast (text AS closure.wpair) → function closure.to_wpair(text) is volatile",
    "SELECT wtotal(id) FROM t":
        "aggregate closure.wtotal(integer) → function closure.agg_final(integer) is volatile",
    "SELECT 5::checked":
        "domain closure.checked → check checked_check → function closure.writer(integer) is volatile",
    "SELECT row(5)::with_checked": "type closure.with_checked → domain closure.checked → check checked_check → "
                                   "function closure.writer(integer) is volatile",
    "SELECT * FROM rls_writes":
        "table closure.rls_writes → policy p → function closure.writer(integer) is volatile",
    "SELECT * FROM half_unlogged":
        "table closure.half_unlogged → table closure.half_unlogged_1 is unlogged or temporary",
    "SELECT * FROM unlogged_view": "view closure.unlogged_view → table closure.half_unlogged → "
                                   "table closure.half_unlogged_1 is unlogged or temporary",
    "SELECT t.row_writer FROM t": "function closure.row_writer(closure.t) is volatile",
    "COPY (SELECT * FROM writer_view) TO STDOUT":
        "view closure.writer_view → function closure.writer(integer) is volatile",
    "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM sequence_view)":
        "view closure.sequence_view → function nextval(regclass) is volatile",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def objects(cluster):
    cluster.sql(older.for_major(OBJECTS, cluster.major), user="openfire")
    yield
    # A function that runs what it puts together makes every audit of this database unsure.
    cluster.sql("DROP SCHEMA closure, closure_writes CASCADE")


@pytest.fixture(scope="module")
def proxy(cluster, objects):
    """Started after the objects exist, so that its catalogue has them."""
    with waypost_process.running(cluster) as made:
        yield made


@pytest.fixture
def conn(proxy):
    with proxy.connect() as made:
        made.rows("SET search_path = closure, public")
        yield made


def route(proxy, sql):
    status, body = proxy.get("/api/v1/route", {"sql": sql, "database": "openfire", "user": "openfire",
                                               "search_path": "closure, public"})  # fmt: skip
    assert status == 200, body
    return json.loads(body)


@pytest.mark.parametrize("sql", READS)
def test_what_reaches_no_write_runs_on_a_replica(cluster, proxy, conn, sql):
    def ran_on_a_replica():
        mark = new_marker()
        assert wire.sqlstates(conn.simple(f"{sql} /* {mark} */")) == []
        return cluster.where(mark) in REPLICAS

    assert route(proxy, sql)["reason"] == "read_safe"
    # On a machine that is busy a replica may not be proved in time.
    assert ran_on_a_replica() or ran_on_a_replica()


@pytest.mark.parametrize("sql", WRITES)
def test_what_reaches_one_runs_on_the_primary_and_says_why(cluster, proxy, conn, marker, sql):
    assert wire.sqlstates(conn.simple(f"{sql} /* {marker} */")) == []
    assert cluster.where(marker) == "pg0"
    assert route(proxy, sql)["path"] == [WRITES[sql]]


def test_the_search_path_decides_which_function_is_meant(cluster, conn):
    """Two functions of one name, of which one writes: each session means its own."""
    for path, where in (("closure", set(REPLICAS)), ("closure_writes", {"pg0"}), ("closure, closure_writes", {"pg0"}),
                        ("closure", set(REPLICAS))):  # fmt: skip
        mark = new_marker()
        conn.rows(f"SET search_path = {path}")
        conn.rows(f"SELECT same_name() /* {mark} */")
        assert cluster.where(mark) in where, path
    conn.rows("SELECT set_config('search_path', 'closure_writes', false)")
    mark = new_marker()
    conn.rows(f"SELECT same_name() /* {mark} */")
    assert cluster.where(mark) == "pg0"


def test_the_search_path_of_a_transaction_is_not_that_of_the_session(cluster, conn, marker):
    conn.rows("SET search_path = closure")
    conn.rows("BEGIN; SET LOCAL search_path = closure_writes; SELECT same_name(); ROLLBACK")
    conn.rows(f"SELECT same_name() /* {marker} */")
    assert cluster.where(marker) in REPLICAS


def test_set_local_and_the_rest_of_its_transaction(cluster, conn):
    """In the block the other function is meant: what it may leave behind in the session is not missed either."""
    conn.rows("SET search_path = closure")
    mark = new_marker()
    conn.rows("BEGIN")
    conn.rows("SET LOCAL search_path = closure_writes")
    conn.rows(f"SELECT same_name() /* {mark} */")
    conn.rows("COMMIT")
    assert cluster.where(mark) == "pg0"
    assert conn.value("SHOW search_path") == "closure"


def test_the_search_path_of_a_role_and_of_the_database(cluster, proxy, make_waypost, marker):
    cluster.sql("CREATE ROLE pathed LOGIN PASSWORD 'pathed'")
    cluster.sql("GRANT USAGE ON SCHEMA closure, closure_writes TO pathed; GRANT ALL ON ALL TABLES IN SCHEMA closure TO pathed")
    cluster.sql("ALTER ROLE pathed SET search_path = closure_writes")
    made = make_waypost(users=[{"name": "openfire", "password": "openfire"}, {"name": "pathed", "password": "pathed"}],
                        wait_for_split=True)  # fmt: skip
    with made.connect("pathed") as one:
        one.rows(f"SELECT same_name() /* {marker} */")
        assert cluster.where(marker) == "pg0"
    cluster.sql("ALTER ROLE pathed SET search_path = closure")
    made = make_waypost(users=[{"name": "openfire", "password": "openfire"}, {"name": "pathed", "password": "pathed"}],
                        wait_for_split=True)  # fmt: skip
    with made.connect("pathed") as one:
        mark = new_marker()
        one.rows(f"SELECT same_name() /* {mark} */")
        assert cluster.where(mark) in REPLICAS


def until_read(cluster, proxy, sql, seconds=10):
    """Until `sql` runs on a replica: the catalogue was read since the last DDL. In sessions of their own: who calls a
    function that nobody knows yet is pinned."""

    def read_ran_on_replica():
        mark = new_marker()
        with proxy.connect() as conn:
            conn.rows("SET search_path = closure, public")
            conn.rows(f"{sql} /* {mark} */")
        return cluster.where(mark) in REPLICAS

    waypost_process.eventually(read_ran_on_replica, seconds, "a read on a replica")


CHANGES = [
    ("CREATE FUNCTION turns() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'", "SELECT turns()",
     "ALTER FUNCTION turns() VOLATILE"),
    ("CREATE FUNCTION turns2() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'", "SELECT turns2()",
     "CREATE OR REPLACE FUNCTION turns2() RETURNS int LANGUAGE sql STABLE AS 'SELECT closure.writer(2)'"),
    ("CREATE VIEW turns3 AS SELECT 1 AS x", "SELECT * FROM turns3",
     "CREATE OR REPLACE VIEW turns3 AS SELECT writer(1) AS x"),
    ("CREATE TABLE turns4 (id int)", "SELECT * FROM turns4", "ALTER TABLE turns4 SET UNLOGGED"),
    ("CREATE TABLE turns5 (id int)", "SELECT * FROM turns5",
     "DO $$ BEGIN EXECUTE 'ALTER TABLE closure.turns5 SET UNLOGGED'; END $$"),
    ("CREATE DOMAIN turns6 AS int", "SELECT 1::turns6", "ALTER DOMAIN turns6 ADD CHECK (writer(VALUE) > 0)"),
]  # fmt: skip


@pytest.mark.parametrize("create, read, change", CHANGES, ids=[change for _, _, change in CHANGES])
@pytest.mark.parametrize("commit", [[], ["COMMIT"], ["PREPARE TRANSACTION 'ddl'", "COMMIT PREPARED 'ddl'"]],
                         ids=["alone", "block", "two-phase"])  # fmt: skip
def test_ddl_counts_for_the_very_next_statement_of_anyone(cluster, proxy, create, read, change, commit):
    """From when its client hears of it: no other client, on whatever worker, gets a read by the old picture."""
    others = [proxy.connect() for _ in range(6)]
    with proxy.connect() as one:
        for conn in (one, *others):
            conn.rows("SET search_path = closure, public")
        one.rows(create)
        try:
            until_read(cluster, proxy, read)
            for conn in others:
                conn.rows(read)
            marks = [new_marker() for _ in others]
            for sql in ["BEGIN", change, *commit] if commit else [change]:
                one.rows(sql)
            for conn, mark in zip(others, marks):
                conn.send(wire.query(f"{read} /* {mark} */"))
            for conn in others:
                assert wire.sqlstates(conn.until()) == []
            assert [cluster.runs(mark) for mark in marks] == [{"pg0": 1}] * len(marks)
        finally:
            one.rows("DROP " + create.split("(")[0].split(" AS")[0].removeprefix("CREATE "))
            for conn in others:
                conn.shut()


def test_ddl_by_the_extended_protocol_counts_when_it_is_committed(cluster, conn, proxy):
    conn.rows("CREATE TABLE extended (id int)")
    until_read(cluster, proxy, "SELECT * FROM extended")
    mark = new_marker()
    with proxy.connect() as other:
        other.rows("SET search_path = closure")
        conn.send(wire.parse("", "ALTER TABLE extended SET UNLOGGED"), wire.bind("", ""), wire.execute(), wire.sync())
        assert wire.sqlstates(conn.until()) == []
        other.rows(f"SELECT * FROM extended /* {mark} */")
    assert cluster.runs(mark) == {"pg0": 1}
    conn.rows("DROP TABLE extended")


def test_temporary_tables_and_maintenance_keep_reads_on_replicas(cluster, conn, proxy):
    """They change nothing that other sessions could name."""
    until_read(cluster, proxy, "SELECT * FROM t")
    with proxy.connect() as other:
        for sql in ("CREATE TEMP TABLE mine (id int)", "TRUNCATE mine", "ANALYZE mine", "COMMENT ON TABLE mine IS 'x'",
                    "CREATE INDEX ON mine (id)", "DROP TABLE mine"):  # fmt: skip
            other.rows(sql)
            mark = new_marker()
            conn.rows(f"SELECT * FROM t /* {mark} */")
            assert cluster.where(mark) in REPLICAS, sql


def test_two_phase_commit_without_ddl_keeps_reads_on_replicas(cluster, conn, proxy):
    until_read(cluster, proxy, "SELECT * FROM t")
    with proxy.connect() as one, proxy.connect() as other:
        for commit in ("COMMIT", "ROLLBACK"):
            one.rows("BEGIN; CREATE TEMP TABLE gone (id int); ROLLBACK")
            for sql in ("BEGIN", "INSERT INTO closure.t SELECT 7 WHERE false", "PREPARE TRANSACTION 'plain'"):
                one.rows(sql)
            other.rows(f"{commit} PREPARED 'plain'")
            mark = new_marker()
            conn.rows(f"SELECT * FROM t /* {mark} */")
            assert cluster.where(mark) in REPLICAS, commit
