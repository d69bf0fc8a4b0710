"""What differs between the major versions of PostgreSQL: what each stores, and the forms of SQL that only some know. The
same tests on every major; what a server does not know is an error there, and the same one through Waypost."""

import json
import pathlib
import re

import cluster as clusters
import pytest
import transcript
import waypost as waypost_process
import wire
from cluster import REPLICAS, new_marker
from waypost import eventually

pytestmark = [pytest.mark.proxy, pytest.mark.majors]

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREES = (ROOT / "tests/corpus/sql/node_trees.sql").read_text()

# Every view of the system once more, as a user's: so that its definition is looked into.
COPY_VIEWS = """
DO $do$ DECLARE v record; BEGIN
  FOR v IN SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE relkind = 'v' AND c.oid < 16384 LOOP
    BEGIN
      EXECUTE format('CREATE VIEW trees.%I AS %s', v.nspname || '_' || v.relname, pg_get_viewdef(v.oid));
    EXCEPTION WHEN duplicate_column OR invalid_table_definition THEN NULL;
    END;
  END LOOP;
END $do$"""

# A domain whose check writes, and the ways by which a view or a function makes a value of it.
TRAPS = """
CREATE SCHEMA traps;
CREATE TABLE traps.w (id int);
CREATE FUNCTION traps.writes(i int) RETURNS bool LANGUAGE sql VOLATILE AS 'INSERT INTO traps.w VALUES (i) RETURNING true';
CREATE DOMAIN traps.d AS int CHECK (traps.writes(VALUE));
CREATE TYPE traps.c AS (a traps.d);
CREATE TABLE traps.j (j jsonb)"""
TRAPPED = [
    "SELECT 1::traps.d AS x",
    "SELECT * FROM json_to_record('{\"x\":1}') AS r(x traps.d)",
    "SELECT (json_populate_record(NULL::traps.c, '{\"a\":1}')).a",
    "SELECT x.* FROM XMLTABLE('/r' PASSING ('<r><x>1</x></r>'::xml) COLUMNS x traps.d PATH 'x') x",
    "SELECT t.* FROM JSON_TABLE(jsonb '{\"x\":1}', '$' COLUMNS (x traps.d PATH '$.x')) t",
    "SELECT t.* FROM JSON_TABLE(jsonb '[{\"y\":[{\"x\":1}]}]', '$[*]' COLUMNS (NESTED PATH '$.y[*]' COLUMNS (x traps.d PATH '$.x'))) t",
    "SELECT JSON_VALUE(jsonb '{\"x\":1}', '$.x' RETURNING traps.d) AS x",
    "SELECT JSON_QUERY(jsonb '{\"a\":1}', '$' RETURNING traps.c) AS x",
    "SELECT JSON_VALUE(j, '$.q' RETURNING traps.d DEFAULT 3 ON EMPTY) AS x FROM traps.j",
    "SELECT jsonb_populate_record(NULL::traps.c, j) AS x FROM traps.j",
]  # fmt: skip

# Forms of SQL by the major that first has them. The answer must not depend on when it is asked.
FORMS = [
    # 14
    "SELECT date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')",
    "SELECT '[1,3)'::int4multirange",
    "WITH RECURSIVE s(a) AS (SELECT 1 UNION SELECT a + 1 FROM s WHERE a < 3) SEARCH DEPTH FIRST BY a SET o SELECT a FROM s ORDER BY a",
    "SELECT count(*) FROM probe_me GROUP BY DISTINCT ROLLUP (id, t), ROLLUP (id, t) HAVING count(*) > 99",
    "SELECT bit_xor(id) FROM probe_me",
    "SELECT trim_array(ARRAY[1, 2, 3], 1), string_to_table('a,b', ',')",
    "SELECT ('{\"a\": 1}'::jsonb)['a']",
    # 15
    "SELECT regexp_count('banana', 'a'), regexp_like('a', 'A', 'i')",
    "MERGE INTO probe_me p USING (VALUES (1)) v(i) ON p.id = v.i WHEN MATCHED THEN UPDATE SET t = 'merged'",
    "CREATE TABLE form_nnd (a int, UNIQUE NULLS NOT DISTINCT (a))",
    "SELECT range_agg(r) FROM (VALUES ('[1,2)'::int4multirange)) v(r)",
    # 16
    "SELECT any_value(t) FROM probe_me WHERE id = 5",
    "SELECT 1_000 + 0x1F + 0b11 + 0o17",
    "SELECT pg_input_is_valid('x', 'int')",
    "SELECT array_sample(ARRAY[1], 1), array_shuffle(ARRAY[2])",
    "SELECT JSON_ARRAY(1, 2), JSON_OBJECT('a': 1)",
    "SELECT JSON_ARRAYAGG(id ORDER BY id) FROM probe_me WHERE id < 4",
    "SELECT '{}' IS JSON OBJECT",
    "SELECT s.x FROM (SELECT 1 AS x)",
    "SELECT x FROM (SELECT 1 AS x)",
    "SELECT system_user IS NOT NULL",
    "SELECT random_normal(0, 0)",
    # 17
    "SELECT * FROM JSON_TABLE(jsonb '[{\"a\": 1}, {\"a\": 2}]', '$[*]' COLUMNS (n FOR ORDINALITY, a int PATH '$.a'))",
    "SELECT JSON_VALUE(jsonb '{\"a\": 1}', '$.a' RETURNING int), JSON_QUERY(jsonb '[1]', '$'), JSON_EXISTS(jsonb '{}', '$.a')",
    "SELECT JSON_SCALAR(1), JSON('{}'), JSON_SERIALIZE('{}')",
    "MERGE INTO probe_me p USING (VALUES (2)) v(i) ON p.id = v.i WHEN MATCHED THEN UPDATE SET t = 'x' RETURNING merge_action(), p.id",
    "MERGE INTO probe_me p USING (VALUES (2)) v(i) ON p.id = v.i WHEN NOT MATCHED BY SOURCE AND p.id > 99 THEN DELETE",
    "SELECT random(1, 1), random(2::bigint, 2::bigint)",
    "SELECT uuid_extract_version(gen_random_uuid())",
    "SELECT to_bin(5), to_oct(8)",
    "SELECT now() AT LOCAL = now()",
    "EXPLAIN (COSTS OFF, SERIALIZE NONE, ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT 1",
    "EXPLAIN (COSTS OFF, MEMORY OFF) SELECT 1",
    # 18
    "UPDATE probe_me SET t = 'new' WHERE id = 3 RETURNING OLD.t, NEW.t",
    "INSERT INTO probe_me VALUES (4, 'y') ON CONFLICT (id) DO UPDATE SET t = EXCLUDED.t RETURNING WITH (OLD AS o, NEW AS n) o.t, n.t",
    "CREATE TABLE form_virtual (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)",
    "SELECT uuid_extract_version(uuidv7()), uuid_extract_version(uuidv4())",
    "SELECT array_sort(ARRAY[3, 1, 2]), array_reverse(ARRAY[1, 2])",
    "SELECT casefold('ABC'), crc32('a'), reverse('ab'::bytea)",
    "SELECT min(ROW(id, t)) FROM probe_me",
    "CREATE TABLE form_period (id int, p int4range, PRIMARY KEY (id, p WITHOUT OVERLAPS))",
    "CREATE TABLE form_not_null (a int, CONSTRAINT form_nn NOT NULL a NOT VALID)",
    # later
    "WAIT FOR LSN '0/1'",
    "SELECT * FROM GRAPH_TABLE (g MATCH (a) COLUMNS (a.id))",
    "SELECT first_value(id) IGNORE NULLS OVER (ORDER BY id) FROM probe_me WHERE id = 1",
    "INSERT INTO probe_me VALUES (5, 'z') ON CONFLICT (id) DO SELECT RETURNING id",
]  # fmt: skip
# Reads of those, in a form that every grammar knows: where the server has the function, a replica runs it.
READS = [
    "SELECT any_value(id) FROM probe_me",
    "SELECT random(1, 10) FROM probe_me",
    "SELECT uuidv7() FROM probe_me",
    "SELECT random_normal() FROM probe_me",
    "SELECT array_shuffle(ARRAY[1, 2]) FROM probe_me",
    "SELECT bit_xor(id) FROM probe_me",
]

# What a standby refuses, and what READ ONLY refuses, which each major draws elsewhere. Each a block that first reads.
IN_READ_ONLY_BLOCKS = [
    *(f"LOCK TABLE probe_me IN {mode} MODE" for mode in ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE", "ACCESS EXCLUSIVE")),
    "NOTIFY majors, 'x'", "SELECT pg_notify('majors', 'x')", "LISTEN majors", "UNLISTEN majors", "UNLISTEN *",
    "SELECT lo_get(7001)", "SELECT loread(lo_open(7001, 262144), 5)", "SELECT lo_open(7001, 131072)", "SELECT lo_create(7002)",
    "SELECT lo_unlink(7001)", "SELECT lowrite(lo_open(7001, 131072), 'x')", "SELECT lo_put(7001, 0, 'L')", "SELECT lo_creat(-1) > 0",
    "SELECT lo_truncate(lo_open(7001, 393216), 3)", "SELECT lo_from_bytea(7003, 'x')", "SELECT lo_export(7001, '/tmp/none')",
    "SELECT nextval('majors_seq')", "SELECT setval('majors_seq', 5)", "SELECT currval('majors_seq')", "SELECT lastval()",
    "SELECT txid_current() > 0", "SELECT pg_current_xact_id() IS NULL", "SELECT txid_current_if_assigned() IS NULL",
    "SELECT id FROM probe_me WHERE id = 1 FOR SHARE", "SELECT id FROM probe_me WHERE id = 1 FOR UPDATE", "SELECT 1 INTO TEMP majors_t",
    "CREATE TEMP TABLE majors_t (a int)", "CREATE TABLE majors_t (a int)", "ANALYZE probe_me", "VACUUM probe_me", "REINDEX TABLE probe_me",
    "CLUSTER probe_me", "CHECKPOINT", "SET TRANSACTION READ WRITE", "SET transaction_read_only = off",
    "INSERT INTO probe_me VALUES (9001, 'x')", "UPDATE probe_me SET t = 'x'", "DELETE FROM probe_me", "TRUNCATE probe_me",
    "MERGE INTO probe_me p USING (VALUES (1)) v(i) ON p.id = v.i WHEN MATCHED THEN UPDATE SET t = 'merged'",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) DELETE FROM probe_me WHERE id = 9001", "COPY probe_me FROM '/dev/null'",
    "COPY (SELECT 1) TO STDOUT", "DO 'BEGIN PERFORM 1; END'", "DO 'BEGIN DELETE FROM probe_me; END'", "DISCARD ALL", "DISCARD TEMP",
    "DISCARD SEQUENCES", "DISCARD PLANS", "SELECT pg_advisory_xact_lock(1)", "SELECT pg_try_advisory_lock_shared(7), pg_advisory_unlock_shared(7)",
    "SHOW transaction_read_only", "SELECT current_setting('transaction_read_only')", "SHOW transaction_isolation",
    "SELECT pg_export_snapshot() IS NOT NULL", "SELECT pg_current_wal_lsn() IS NOT NULL",
    "SELECT pg_wal_replay_pause()", "SELECT pg_logical_emit_message(true, 'a', 'b') IS NULL", "SECURITY LABEL ON TABLE probe_me IS NULL",
    "COMMENT ON TABLE probe_me IS 'x'", "GRANT SELECT ON probe_me TO alice", "REFRESH MATERIALIZED VIEW none", "LOAD 'plpgsql'",
    "SET LOCAL transaction_timeout = '9s'", "SET LOCAL idle_session_timeout = '9s'", "SET LOCAL createrole_self_grant = 'set'",
    "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SAVEPOINT s", "WAIT FOR LSN '0/1'",
]  # fmt: skip
# Of those, what the primary would do or refuse otherwise: how it is refused once the block is on a replica (docs/limits.md).
REFUSED_ON_A_REPLICA = {
    **dict.fromkeys(["LOCK TABLE probe_me IN SHARE MODE", "LOCK TABLE probe_me IN ACCESS EXCLUSIVE MODE", "NOTIFY majors, 'x'",
                     "ANALYZE probe_me", "VACUUM probe_me", "REINDEX TABLE probe_me", "CLUSTER probe_me",
                     "COPY probe_me FROM '/dev/null'", "SELECT pg_notify('majors', 'x')", "SELECT txid_current() > 0",
                     "SELECT pg_current_xact_id() IS NULL"], "25006"),
    **dict.fromkeys(["SELECT pg_current_wal_lsn() IS NOT NULL", "SELECT lo_unlink(7001)"], "55000"),
    **dict.fromkeys(["LISTEN majors", "SELECT 1 INTO TEMP majors_t", "CREATE TEMP TABLE majors_t (a int)", "LOAD 'plpgsql'",
                     "SELECT pg_try_advisory_lock_shared(7), pg_advisory_unlock_shared(7)"], "0A000"),
    **{sql: "XX000" for sql in IN_READ_ONLY_BLOCKS if re.match(r"SELECT (lo_creat|lowrite|lo_put|lo_truncate|lo_from_bytea)|SELECT pg_logical", sql)},
}  # fmt: skip
# What to set a setting to whose value the server reports, where it may be set.
REPORTED = {
    "application_name": "'majors'", "client_encoding": "'LATIN1'", "DateStyle": "'German'", "IntervalStyle": "'iso_8601'",
    "TimeZone": "'Asia/Tokyo'", "standard_conforming_strings": "off", "default_transaction_read_only": "on",
    "search_path": "'pg_catalog'", "scram_iterations": "5000", "session_authorization": "'openfire'", "in_hot_standby": "on",
    "is_superuser": "on", "integer_datetimes": "off", "server_encoding": "'LATIN1'", "server_version": "'1'",
}  # fmt: skip
# A value of each type, to call functions with.
VALUES = {
    "oid": "'probe_me'::regclass::oid", "regclass": "'probe_me'::regclass", "int4": "1", "int8": "1::bigint", "int2": "1::smallint",
    "text": "'probe_me'", "name": "'probe_me'::name", "bool": "true", "float8": "0.5::float8", "numeric": "1.5", "regproc": "'now'::regproc",
    "regprocedure": "'now()'::regprocedure", "regtype": "'int'::regtype", "regrole": "'openfire'::regrole", "pg_lsn": "'0/1'::pg_lsn",
    "xid": "'3'::xid", "xid8": "'3'::xid8", "timestamptz": "'2020-01-01Z'::timestamptz", "interval": "'1 s'::interval", "jsonb": "'{}'::jsonb",
}  # fmt: skip
# Those that ask the clock or chance, whose answers no two calls share.
CHANCE = re.compile(r"clock|now|timeofday|random|uuid|statement_timestamp|transaction_timestamp|shuffle|sample|^age$|sleep")

# Object ids, and other unsigned numbers, of nodes that no catalogue stores: of plans, of paths, of statements.
NEVER_STORED = set("""
aggsortop amflags baserestrict_min_security child_relid child_reltype combinefn_oid con_relid confrelid conoid conrelid
deserialfn_oid ec_collation ec_max_security ec_min_security ec_sortref em_datatype est_entries exclRelRTI finalfn_oid
firstColCollation firstColType flags fs_server hashValue hasheqoperator hashjoinoperator indexOid indexid indexoid lastPHId
lastRowMarkId left_hasheqoperator nominalRelation oid ojrelid oldCreateSubid oldFirstRelfilelocatorSubid
oldFirstRelfilenodeSubid oldNode oldNumber old_pktable_oid options owner ownerId pages parent_relid parent_reloid
parent_reltype phid phlevelsup pk_opfamily prti qual_security_level query_level ref_relid relam relationOid reltablespace
right_hasheqoperator rootRelation rowmarkId scan.scanrelid scanrelid security_level serialfn_oid serverid skewTable statOid
transfn_oid typeOid userid""".split())


# By the major whose grammar first has them. Reads:
SQL_JSON = [
    (17, "SELECT t.* FROM JSON_TABLE(jsonb '[{\"a\": 1}]', '$[*]' COLUMNS (n FOR ORDINALITY, a int PATH '$.a')) t"),
    (17, "SELECT JSON_VALUE('{\"a\": 1}', '$.a' RETURNING int), JSON_QUERY('[1]', '$'), JSON_EXISTS('{}', '$.a')"),
    (17, "SELECT JSON_SCALAR(1), JSON('{}'), JSON_SERIALIZE('{}')"),
    (16, "SELECT JSON_ARRAY(1, 2), JSON_OBJECT('a': 1), '{}' IS JSON OBJECT"),
    (16, "SELECT JSON_ARRAYAGG(id ORDER BY id), JSON_OBJECTAGG(id: t) FROM probe_me WHERE id > 90"),
]  # fmt: skip
# What that grammar is not to know:
NEWER = [
    (17, "SELECT * FROM JSON_TABLE(jsonb '[1]', '$[*]' COLUMNS (a int PATH '$')) AS t"),
    (18, "INSERT INTO probe_me VALUES (4, 'row 4') ON CONFLICT (id) DO UPDATE SET t = EXCLUDED.t RETURNING WITH (OLD AS o) o.id"),
    (19, "SELECT * FROM GRAPH_TABLE (g MATCH (a) COLUMNS (a.id))"),
]
NEWER_WORD = re.compile("JSON_TABLE|RETURNING WITH|GRAPH_TABLE")


def grammar(made):
    """The major whose grammar that Waypost was built with."""
    [found] = re.findall(r"^waypost_build_info{.*pg_grammar=\"(\d+)\"", made.get("/metrics")[1], re.M)
    return int(found)


def lines(messages):
    return [transcript.show(message) for message in messages]


@pytest.fixture(scope="module")
def objects(cluster):
    def run(sql, must=False):
        with cluster.connect("pg0") as conn:
            states = wire.sqlstates(conn.simple(sql))
            assert not (must and states), f"{states} {sql}"
            return not states

    run("CREATE SCHEMA trees; GRANT ALL ON SCHEMA trees TO openfire; ALTER ROLE postgres SET search_path = trees, public", must=True)
    run(COPY_VIEWS, must=True)
    for statement in filter(None, TREES.split("\n")):
        if not statement.startswith("--"):
            run(statement)
    run("ALTER ROLE postgres RESET search_path", must=True)
    run(TRAPS, must=True)
    trapped = [sql for i, sql in enumerate(TRAPPED) if run(f"CREATE VIEW traps.v{i} AS {sql}")]
    yield trapped
    run("DROP SCHEMA trees, traps CASCADE", must=True)


@pytest.fixture(scope="module")
def proxy(cluster, objects):
    with waypost_process.running(cluster) as made:
        yield made


def test_every_tree_that_the_server_stores_is_understood(cluster, proxy, objects):
    names = cluster.sql("SELECT relname FROM pg_class WHERE relnamespace = 'trees'::regnamespace AND relkind IN ('v', 'm', 'r', 'p')")
    calls = cluster.sql("SELECT proname || '(' || array_to_string(array_fill('NULL'::text, ARRAY[pronargs]), ',') || ')' FROM pg_proc "
                        "WHERE pronamespace = 'trees'::regnamespace AND prokind = 'f'")  # fmt: skip
    assert len(names) > 120
    for sql in [f"SELECT * FROM trees.{name}" for [name] in names] + [f"SELECT trees.{call}" for [call] in calls]:
        path = " ".join(proxy.route(sql)["path"])
        assert "does not know" not in path and "not in the catalogue" not in path, f"{sql}: {path}"


def test_a_check_that_writes_is_found_whatever_makes_the_value(proxy, objects):
    for i, sql in enumerate(TRAPPED):
        if sql in objects:
            answer = proxy.route(f"SELECT * FROM traps.v{i}")
            assert answer["class"] == "write", f"{sql}: {answer}"
        assert proxy.route(sql)["class"] == "write", sql
    assert len(objects) >= 5  # what every major has


def test_every_id_in_the_servers_nodes_was_judged():
    """The field names in the server's own program: what a new major adds is put into parser/catalog/node_tree.cc, or into the list
    above."""
    program = (clusters.programs() / "postgres").read_bytes()
    fields = set(re.findall(r" :([A-Za-z_.]+) %u\0", program.decode("latin-1")))
    source = (ROOT / "parser/catalog/node_tree.cc").read_text()
    judged = set(re.findall(r'"([A-Za-z_]+)"', source))
    assert len(fields) > 80
    assert fields - judged - NEVER_STORED == set()


@pytest.mark.parametrize("sql", FORMS)
def test_a_form_of_sql_is_answered_as_the_primary_does(cluster, waypost, sql):
    def ask(conn):
        """Alone, unless that would leave something behind; and by the extended protocol."""
        if sql.startswith(("SELECT", "WITH", "EXPLAIN", "WAIT")):
            conn.send(wire.query(sql), wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.sync())
            return lines(conn.until()) + lines(conn.until())
        answer = lines(conn.simple("BEGIN")) + lines(conn.simple(sql))
        return answer + lines(conn.simple("ROLLBACK"))

    with cluster.connect("pg0", "openfire", "openfire") as direct, waypost.connect() as through:
        expected, answer = ask(direct), ask(through)
    if cluster.major < 14:  # a server connection that was there when its configuration was read again repeats what it reports
        answer = [line for line in answer if not line.startswith("S ")]
    assert answer == expected


@pytest.mark.parametrize("sql", READS)
def test_new_functions_that_read_run_on_a_replica(cluster, waypost, sql):
    with cluster.connect("pg0", "openfire", "openfire") as direct:
        there = not wire.sqlstates(direct.simple(sql))
    waypost.wait_for_split()  # what the forms above may have changed is read first
    marker = new_marker()
    with waypost.connect() as conn:
        assert bool(wire.sqlstates(conn.simple(f"{sql} /* {marker} */"))) != there
    if there:
        assert cluster.where(marker) in REPLICAS


@pytest.mark.parametrize("options", ["(FORMAT csv)", "(ON_ERROR ignore)", "(ON_ERROR ignore, LOG_VERBOSITY verbose)",
                                     "(ON_ERROR ignore, REJECT_LIMIT 1)"])  # fmt: skip
def test_copy_with_options_of_newer_majors(cluster, waypost, options):
    def ask(conn):
        answer = lines(conn.simple("BEGIN; CREATE TEMP TABLE c (a int) ON COMMIT DROP"))
        conn.send(wire.query(f"COPY c FROM STDIN {options}"))
        first = conn.recv()
        answer.append(transcript.show(first))
        if first.type == "G":
            conn.send(wire.message("d", b"1\nnone\n3\n"), wire.message("c"))
        answer += lines(conn.until())
        return answer + lines(conn.simple("SELECT * FROM c")) + lines(conn.simple("ROLLBACK"))

    with cluster.connect("pg0", "openfire", "openfire") as direct, waypost.connect() as through:
        assert ask(through) == ask(direct)


def test_a_form_that_the_grammar_does_not_know_is_named_as_that(cluster, make_waypost):
    made = make_waypost(wait_for_split=True)
    sql = next(sql for major, sql in NEWER if major > grammar(made))
    with made.connect() as conn:
        explained = conn.rows(f"EXPLAIN ROUTE {sql}")[0]
        ran = not wire.sqlstates(conn.simple(sql))
    assert explained[3] == "primary"
    assert explained[2] == "unknown_syntax" and "does not know this form" in explained[6]
    digests = json.loads(made.get("/api/v1/digests")[1])["digests"]
    [digest] = [one for one in digests if NEWER_WORD.search(one["text"])]
    assert digest["verdict"] == "unknown_syntax" and "does not know this form" in digest["path"]
    made.counted(1 if ran else 0, "waypost_newer_syntax_total")


@pytest.mark.parametrize("major, sql", SQL_JSON)
def test_sql_json_runs_on_a_replica_where_the_grammar_has_it(cluster, waypost, major, sql):
    """Where it has not, or where the server has not, on the primary."""
    waypost.wait_for_split()
    marker = new_marker()
    with waypost.connect() as conn:
        failed = bool(wire.sqlstates(conn.simple(f"{sql} /* {marker} */")))
    assert failed == (cluster.major < major)
    if not failed:
        assert (cluster.where(marker) in REPLICAS) == (grammar(waypost) >= major)


@pytest.fixture(scope="module")
def refused(cluster):
    cluster.sql("SELECT lo_from_bytea(7001, 'large object'); CREATE SEQUENCE majors_seq", user="openfire")
    yield
    cluster.sql("SELECT lo_unlink(7001); DROP SEQUENCE majors_seq", user="openfire")


@pytest.mark.parametrize("sql", IN_READ_ONLY_BLOCKS)
def test_what_a_standby_refuses_is_answered_as_the_primary_does(cluster, waypost, refused, sql):
    """In a block that has begun on a replica, by SQL and by the protocol; and what the session is like then."""

    def ask(conn):
        said = []
        for extended in (False, True):
            said += lines(conn.simple("BEGIN READ ONLY")) + lines(conn.simple("SELECT count(*) FROM probe_me WHERE id = 1"))
            if extended:
                conn.send(wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.sync())
            else:
                conn.send(wire.query(sql))
            answer = conn.until()
            states.append(wire.sqlstates(answer))
            said += lines(answer) + lines(conn.simple("SELECT count(*) FROM probe_me WHERE id = 2")) + lines(conn.simple("ROLLBACK"))
        return said + lines(conn.simple("SHOW transaction_read_only"))

    states = []
    with cluster.connect("pg0", "openfire", "openfire") as direct, waypost.connect() as through:
        expected = ask(direct)
        answered = ask(through)
    if sql in REFUSED_ON_A_REPLICA:
        assert set(map(tuple, states[2:])) <= {(REFUSED_ON_A_REPLICA[sql],), *map(tuple, states[:2])}
    else:
        assert answered == expected


def test_settings_that_the_server_reports(cluster, waypost):
    """Which these are differs by major. Each is set, seen by a read on a replica, and reset, by SET and within a block."""
    waypost.wait_for_split()

    def ask(conn, name):
        said = []
        value = REPORTED[name]
        for sql in (f"SET {name} = {value}", "SELECT 1 FROM probe_me WHERE id = 1", f"RESET {name}", "SELECT 1 FROM probe_me WHERE id = 1",
                    f"BEGIN; SET LOCAL {name} = {value}", "SELECT 1 FROM probe_me WHERE id = 1", "ROLLBACK",
                    f"SELECT set_config('{name}', {value if value[0] == chr(39) else repr(value)}, false)", "BEGIN READ ONLY",
                    "SELECT 1 FROM probe_me WHERE id = 1", "COMMIT", "DISCARD ALL", "SELECT 1 FROM probe_me WHERE id = 1"):  # fmt: skip
            said += [sql, *lines(conn.simple(sql))]
        return said

    with cluster.connect("pg0", "openfire", "openfire") as direct, waypost.connect() as through:
        reported = set(direct.parameters)
        assert set(through.parameters) == reported and reported <= set(REPORTED)
        for name in sorted(reported):
            assert ask(through, name) == ask(direct, name), name


def test_what_is_read_of_the_servers_own_functions_is_the_same_on_a_standby(cluster, proxy):
    """Every function of the system, of whatever major, that a constant can be given to: what Waypost calls a read runs on a
    standby, and answers there as on the primary."""
    functions = cluster.sql("""
        SELECT p.proname, coalesce(string_agg(t.typname, ' ' ORDER BY a.n), '') FROM pg_proc p
        LEFT JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY a(type, n) ON true LEFT JOIN pg_type t ON t.oid = a.type
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.pronargs <= 3
        GROUP BY p.oid, p.proname ORDER BY 1, 2""")
    calls = [(name, f"SELECT {name}({', '.join(VALUES[t] for t in types.split())})") for name, types in functions
             if all(t in VALUES for t in types.split())]  # fmt: skip
    assert len(calls) > 1000
    reads = [(name, sql) for name, sql in calls if proxy.route(sql)["class"] == "read"]
    assert len(reads) > 500
    wrong = []
    with cluster.connect("pg0", "openfire", "openfire") as primary, cluster.connect("pg1", "openfire", "openfire") as standby:
        for conn in (primary, standby):
            conn.simple("SET statement_timeout = '3s'")
        for name, sql in reads:
            expected, answer = lines(primary.simple(sql)), lines(standby.simple(sql))
            kinds = [[line.split()[0] for line in one] for one in (expected, answer)]
            if kinds[0] != kinds[1] if CHANCE.search(name) else expected != answer:
                wrong.append(f"{sql}\n  primary {expected}\n  standby {answer}")
    assert not wrong, "\n".join(wrong)


def test_the_monitor_needs_no_more_than_pg_monitor(cluster, make_waypost):
    cluster.sql("CREATE ROLE watcher LOGIN PASSWORD 'watcher'; GRANT pg_monitor TO watcher", database="postgres")
    try:
        made = make_waypost(wait_for_split=True, sections={"monitor": {"user": "watcher", "password": "watcher"}})
        marker = new_marker()
        with made.connect() as conn:
            assert conn.value(f"SELECT 1 FROM probe_me WHERE id = 1 /* {marker} */") == "1"
        assert cluster.where(marker) in REPLICAS
        made.close()
    finally:
        cluster.sql("DROP ROLE watcher", database="postgres")


def test_servers_of_each_major_are_used_for_reads(cluster, waypost):
    """Each replica is: one that is behind for a moment has none of the reads of that moment."""
    waypost.wait_for_split()
    marker = new_marker()
    with waypost.connect() as conn:

        def both_have_run_some():
            for _ in range(20):
                conn.rows(f"SELECT count(*) FROM probe_me /* {marker} */")
            return set(REPLICAS) <= set(cluster.runs(marker))

        eventually(both_have_run_some, 20, "reads on both replicas")
