#include "parser/catalog/resolve.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "tests/support/demo_catalog.h"

namespace waypost {
namespace {

struct Row {
  const char* sql;
  Class cls;
  Reason why;
  PinReason pin = PinReason::kNone;
};

Verdict Judge(std::string_view sql, const Catalog* catalog) { return ResolveAll(*Analyse(sql, Lexing{}), catalog); }

void Check(const Row& row) {
  const Catalog catalog = DemoCatalog();
  const Verdict verdict = Judge(row.sql, &catalog);
  INFO(row.sql);
  INFO((verdict.path.empty() ? "" : verdict.path.front()));
  CHECK(ClassName(verdict.cls) == ClassName(row.cls));
  CHECK(ReasonName(verdict.why) == ReasonName(row.why));
  CHECK(PinReasonName(verdict.pin) == PinReasonName(row.pin));
}

constexpr Class kR = Class::kRead, kW = Class::kWrite, kS = Class::kSession, kT = Class::kTransaction;
constexpr Reason kSafe = Reason::kReadSafe;
constexpr PinReason kUnseen = PinReason::kUnknownState;

}  // namespace

TEST_CASE("what only reads is a read, at every depth", "[parser][resolve]") {
  Check(GENERATE(values<Row>({
      {"SELECT 1", kR, kSafe},
      {"", kR, kSafe},
      {" /* nothing */ -- at all", kR, kSafe},
      {";;", kR, kSafe},
      {"VALUES (1), (2)", kR, kSafe},
      {"TABLE t", kR, kSafe},
      {"SELECT abalance FROM pgbench_accounts WHERE aid = 1", kR, kSafe},
      {"/* leading comment */ SELECT * FROM t", kR, kSafe},
      {"SELECT * FROM public.t WHERE id IN (SELECT id FROM t2 WHERE x LIKE 'a%')", kR, kSafe},
      {"WITH x AS (SELECT * FROM t) SELECT * FROM x JOIN t2 USING (id)", kR, kSafe},
      {"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * "
       "FROM r",
       kR, kSafe},
      {"WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", kR, kSafe},
      {"SELECT count(*), max(id) FROM t GROUP BY x HAVING count(*) > 1 ORDER BY 1 LIMIT 5", kR, kSafe},
      {"SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t", kR, kSafe},
      {"SELECT * FROM t, LATERAL (SELECT * FROM t2 WHERE t2.id = t.id) s", kR, kSafe},
      {"SELECT * FROM generate_series(1, 3) g(i)", kR, kSafe},
      {"SELECT CASE x WHEN 1 THEN 'a' ELSE 'b' END FROM t WHERE a BETWEEN 1 AND 2", kR, kSafe},
      {"SELECT * FROM t TABLESAMPLE bernoulli (10)", kR, kSafe},
      {"SELECT random(), gen_random_uuid(), clock_timestamp(), pg_sleep(0)", kR, kSafe},
      {"SELECT uuid_generate_v4()", kR, kSafe},
      {"SELECT pure_c(1), lower('x')", kR, kSafe},
      {"SELECT a <-> b FROM t", kR, kSafe},
      {"SELECT pure_sql(1), 7 %% 8", kR, kSafe},
      {"SELECT stable_reader()", kR, kSafe},
      {"SELECT * FROM safe_view", kR, kSafe},
      {"SELECT by_count(1)", kR, kSafe},
      {"SELECT 'happy'::mood", kR, kSafe},
      {"SELECT now(), CURRENT_TIMESTAMP, CURRENT_USER, CURRENT_SCHEMA", kR, kSafe},
      {"SELECT * FROM pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid", kR, kSafe},
      {"SELECT * FROM information_schema.tables", kR, kSafe},
      {"SELECT * FROM pg_stats", kR, kSafe},
      {"SELECT * FROM pg_stat_mine", kR, kSafe},
      {"SELECT to_regclass('t'), 't'::regclass, obj_description(1)", kR, kSafe},
      {"COPY (SELECT * FROM t) TO STDOUT", kR, kSafe},
      {"COPY t TO STDOUT", kR, kSafe},
      {"COPY t (a, b) TO STDOUT (FORMAT csv)", kR, kSafe},
      {"EXPLAIN SELECT * FROM t", kR, kSafe},
      {"EXPLAIN INSERT INTO t VALUES (1)", kR, kSafe},
      {"EXPLAIN (ANALYZE false) DELETE FROM t", kR, kSafe},
      {"EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t", kR, kSafe},
      {"EXPLAIN ANALYZE VERBOSE SELECT 1", kR, kSafe},
      {"SELECT 1; SELECT 2", kR, kSafe},
      {"SELECT * FROM \"t\" WHERE \"x y\" = $1", kR, kSafe},
      {"SELECT notifyDelete, updatedDate FROM t", kR, kSafe},
  })));
}

TEST_CASE("what writes, locks or hides a write is never a read", "[parser][resolve]") {
  Check(GENERATE(values<Row>({
      {"INSERT INTO t VALUES (1)", kW, Reason::kWrite},
      {"UPDATE t SET a = 1", kW, Reason::kWrite},
      {"DELETE FROM t", kW, Reason::kWrite},
      {"MERGE INTO t USING t2 ON t.id = t2.id WHEN MATCHED THEN DELETE", kW, Reason::kWrite},
      {"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", kW, Reason::kWrite},
      {"SELECT * FROM t FOR UPDATE", kW, Reason::kLockClause},
      {"SELECT * FROM t FOR KEY SHARE NOWAIT", kW, Reason::kLockClause},
      {"SELECT * FROM (SELECT * FROM t FOR SHARE) s", kW, Reason::kLockClause},
      {"SELECT (SELECT 1 FROM t FOR UPDATE LIMIT 1)", kW, Reason::kLockClause},
      {"WITH x AS (SELECT * FROM t FOR UPDATE) SELECT 1", kW, Reason::kLockClause},
      {"SELECT 1 WHERE EXISTS (SELECT 1 FROM t FOR NO KEY UPDATE)", kW, Reason::kLockClause},
      {"SELECT * INTO t3 FROM t", kW, Reason::kSelectInto},
      {"SELECT * INTO TEMP t3 FROM t", kW, Reason::kSelectInto, PinReason::kTemporaryTable},
      {"WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", kW, Reason::kModifyingCte},
      {"WITH x AS (DELETE FROM t RETURNING *) SELECT count(*) FROM x", kW, Reason::kModifyingCte},
      {"WITH x AS (WITH y AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM y) SELECT 1", kW, Reason::kModifyingCte},
      {"COPY t FROM STDIN", kW, Reason::kWrite},
      {"COPY t TO '/tmp/x'", kW, Reason::kWrite},
      {"COPY t TO PROGRAM 'cat'", kW, Reason::kWrite},
      {"COPY (SELECT 1) TO PROGRAM 'cat'", kW, Reason::kWrite},
      {"COPY (SELECT nextval('s')) TO STDOUT", kW, Reason::kVolatileFunction},
      {"COPY (SELECT * FROM t FOR UPDATE) TO STDOUT", kW, Reason::kLockClause},
      {"COPY (WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x) TO STDOUT", kW, Reason::kModifyingCte},
      {"COPY (INSERT INTO t VALUES (1) RETURNING *) TO STDOUT", kW, Reason::kWrite},
      {"EXPLAIN ANALYZE INSERT INTO t VALUES (1)", kW, Reason::kWrite},
      {"EXPLAIN (ANALYZE on) UPDATE t SET a = 1", kW, Reason::kWrite},
      {"EXPLAIN (ANALYZE 1) SELECT * FROM t FOR UPDATE", kW, Reason::kLockClause},
      {"EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM t", kW, Reason::kWrite},
      {"EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", kW, Reason::kDdl},
      {"SELECT nextval('s')", kW, Reason::kVolatileFunction},
      {"SELECT pg_catalog.nextval('s')", kW, Reason::kVolatileFunction},
      {"SELECT * FROM t WHERE id = (SELECT setval('s', 1))", kW, Reason::kVolatileFunction},
      {"SELECT pg_notify('a', 'b')", kW, Reason::kVolatileFunction},
      {"SELECT lo_create(0)", kW, Reason::kVolatileFunction},
      {"SELECT pg_terminate_backend(1)", kW, Reason::kVolatileFunction},
      {"SELECT query_to_xml('delete from t', true, true, '')", kW, Reason::kVolatileFunction},
      {"SELECT table_to_xml('v', true, true, '')", kW, Reason::kNotUnderstood},
      {"SELECT writer(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT public.writer(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM t ORDER BY writer(id)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM writer(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT sum(a) FILTER (WHERE writer(a) > 1) FROM t", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT sum(a) OVER (ORDER BY writer(a)) FROM t", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 1 LIMIT writer(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"VALUES (writer(1))", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT overloaded(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT timeofday()", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT stable_calls_volatile(1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT upper('x')", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT wagg(id) FROM t", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT missing(1)", kW, Reason::kUnknownFunction, kUnseen},
      {"SELECT public.now()", kW, Reason::kUnknownFunction, kUnseen},
      {"SELECT 7 <+> 8", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 7 OPERATOR(public.<+>) 8", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 7 <+> ANY (ARRAY[1])", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 7 <+> ALL (SELECT 1)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM t ORDER BY a USING <+>", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 7 @@@ 8", kW, Reason::kUnknownFunction, kUnseen},
      {"SELECT 'x'::text::wtype", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT CAST('x' AS wtype)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT '{x}'::wtype[]", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT wtype 'x'", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 'x'::dom", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT NULL::comp", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 'x'::badin", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT 'x'::nowhere", kW, Reason::kNotUnderstood},
      {"SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS b wtype PATH 'b')", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT sql_writer()", kW, Reason::kVolatileFunction},
      {"SELECT sql_setter()", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT stable_dynamic()", kW, Reason::kNotUnderstood, kUnseen},
      {"SELECT by_count(1, 2)", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT by_count(VARIADIC ARRAY[1])", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM v", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM seqview", kW, Reason::kVolatileFunction},
      {"SELECT * FROM rls", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM ft", kW, Reason::kNotUnderstood},
      {"COPY rls TO STDOUT", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT t.row_writer FROM t", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT (t).row_writer FROM t", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM missing", kW, Reason::kUnknownRelation},
      {"SELECT * FROM nowhere.t", kW, Reason::kUnknownRelation},
      {"CREATE TABLE x (a int)", kW, Reason::kDdl},
      {"CREATE TABLE x AS SELECT 1", kW, Reason::kDdl},
      {"CREATE TABLE x AS EXECUTE p", kW, Reason::kDdl, kUnseen},
      {"REFRESH MATERIALIZED VIEW m", kW, Reason::kDdl},
      {"VACUUM t", kW, Reason::kDdl},
      {"ANALYZE", kW, Reason::kDdl},
      {"TRUNCATE t", kW, Reason::kDdl},
      {"GRANT SELECT ON t TO public", kW, Reason::kDdl},
      {"ALTER SYSTEM SET work_mem = '1MB'", kW, Reason::kDdl},
      {"CHECKPOINT", kW, Reason::kDdl},
      {"LOCK t", kW, Reason::kLockClause},
      {"NOTIFY a", kW, Reason::kWrite},
      {"DO $$ BEGIN END $$", kW, Reason::kWrite, kUnseen},
      {"CALL p()", kW, Reason::kWrite, kUnseen},
      {"SELECT 1; DELETE FROM t", kW, Reason::kMultiStatement},
      {"SELECT * FROM t FOR UPDATE; SELECT 1", kW, Reason::kMultiStatement},
      {"SELECT 1; LISTEN a", kW, Reason::kMultiStatement, PinReason::kListen},
      {"BEGIN; SELECT 1; COMMIT", kW, Reason::kMultiStatement},
  })));
}

TEST_CASE("what another server answers differently stays on the primary", "[parser][resolve]") {
  Check(GENERATE(values<Row>({
      {"SHOW transaction_read_only", kW, Reason::kServerLocal},
      {"SHOW TRANSACTION ISOLATION LEVEL", kW, Reason::kServerLocal},
      {"SHOW ALL", kW, Reason::kServerLocal},
      {"SELECT current_setting('transaction_read_only')", kW, Reason::kServerLocal},
      {"SELECT txid_current()", kW, Reason::kServerLocal},
      {"SELECT pg_current_xact_id()", kW, Reason::kServerLocal},
      {"SELECT pg_is_in_recovery()", kW, Reason::kServerLocal},
      {"SELECT pg_last_wal_replay_lsn()", kW, Reason::kServerLocal},
      {"SELECT pg_current_wal_lsn()", kW, Reason::kServerLocal},
      {"SELECT inet_server_addr()", kW, Reason::kServerLocal},
      {"SELECT pg_backend_pid()", kW, Reason::kServerLocal},
      {"SELECT version()", kW, Reason::kServerLocal},
      {"SELECT pg_postmaster_start_time()", kW, Reason::kServerLocal},
      {"SELECT pg_ls_dir('.')", kW, Reason::kServerLocal},
      {"SELECT pg_export_snapshot()", kW, Reason::kServerLocal},
      {"SELECT pg_database_size('x')", kW, Reason::kServerLocal},
      {"SELECT * FROM pg_stat_activity", kW, Reason::kServerLocal},
      {"SELECT * FROM pg_catalog.pg_statio_all_tables", kW, Reason::kServerLocal},
      {"SELECT * FROM pg_locks", kW, Reason::kServerLocal},
      {"SELECT * FROM pg_settings", kW, Reason::kServerLocal},
      {"SELECT * FROM pg_sequences", kW, Reason::kServerLocal},
      {"SELECT last_value FROM s", kW, Reason::kServerLocal},
      {"SELECT * FROM u", kW, Reason::kPinnedRelation},
      {"SELECT pg_advisory_lock(1)", kW, Reason::kServerLocal, PinReason::kAdvisoryLock},
      {"SELECT pg_catalog.pg_advisory_lock(1)", kW, Reason::kServerLocal, PinReason::kAdvisoryLock},
      {"SELECT pg_try_advisory_lock(1)", kW, Reason::kServerLocal, PinReason::kAdvisoryLock},
      {"SELECT pg_advisory_xact_lock(1)", kW, Reason::kServerLocal},
      {"SELECT pg_advisory_unlock(1)", kW, Reason::kServerLocal},
      {"SELECT currval('s')", kW, Reason::kServerLocal, PinReason::kSequenceValue},
      {"SELECT lastval()", kW, Reason::kServerLocal, PinReason::kSequenceValue},
      {"SELECT setseed(0.5)", kW, Reason::kServerLocal, PinReason::kSetSeed},
      {"UPDATE pg_settings SET setting = '7MB' WHERE name = 'work_mem'", kW, Reason::kWrite, PinReason::kUnknownState},
      {"WITH u AS (UPDATE pg_catalog.pg_settings SET setting = '7MB' RETURNING 1) SELECT * FROM u", kW, Reason::kModifyingCte,
       PinReason::kUnknownState},
      {"INSERT INTO t SELECT pg_advisory_lock(1)", kW, Reason::kWrite, PinReason::kAdvisoryLock},
  })));
}

TEST_CASE("session and transaction statements have classes of their own", "[parser][resolve]") {
  Check(GENERATE(values<Row>({
      {"SET work_mem = '5MB'", kS, Reason::kSession},
      {"RESET ALL", kS, Reason::kSession},
      {"DISCARD ALL", kS, Reason::kSession},
      {"PREPARE p AS SELECT 1", kS, Reason::kSession, PinReason::kSqlPrepare},
      {"EXECUTE p(1)", kS, Reason::kSession, kUnseen},
      {"EXPLAIN EXECUTE p", kS, Reason::kSession, kUnseen},
      {"DEALLOCATE ALL", kS, Reason::kSession},
      {"DECLARE c CURSOR FOR SELECT * FROM t", kS, Reason::kSession},
      {"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t", kS, Reason::kSession, PinReason::kHoldCursor},
      {"FETCH 5 FROM c", kS, Reason::kSession},
      {"MOVE c", kS, Reason::kSession},
      {"CLOSE c", kS, Reason::kSession},
      {"LISTEN a", kS, Reason::kSession, PinReason::kListen},
      {"UNLISTEN *", kS, Reason::kSession},
      {"LOAD 'x'", kS, Reason::kSession, PinReason::kLoad},
      {"BEGIN", kT, Reason::kTransaction},
      {"START TRANSACTION READ ONLY", kT, Reason::kReadOnlyTransaction},
      {"BEGIN READ WRITE", kT, Reason::kTransaction},
      {"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", kT, Reason::kSerializable},
      {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", kT, Reason::kReadOnlyTransaction},
      {"COMMIT AND CHAIN", kT, Reason::kTransaction},
      {"ABORT", kT, Reason::kTransaction},
      {"SAVEPOINT a", kT, Reason::kTransaction},
      {"ROLLBACK TO a", kT, Reason::kTransaction},
      {"RELEASE a", kT, Reason::kTransaction},
      {"PREPARE TRANSACTION 'x'", kT, Reason::kTransaction},
      {"COMMIT PREPARED 'x'", kT, Reason::kTransaction},
      {"CREATE TEMP TABLE x (a int)", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"CREATE TEMPORARY VIEW x AS SELECT 1", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"CREATE TEMP SEQUENCE x", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"CREATE TEMP TABLE x AS SELECT 1", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"CREATE TABLE pg_temp.x (a int)", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"CREATE FUNCTION PG_TEMP.f() RETURNS int LANGUAGE sql AS 'select 1'", kW, Reason::kDdl, PinReason::kTemporaryTable},
      {"SELECT * FROM pg_temp.x", kW, Reason::kUnknownRelation, PinReason::kTemporaryTable},
      {"SELEC 1", kW, Reason::kUnknownSyntax, kUnseen},
      {"SELECT * FROM GRAPH_TABLE (g MATCH (a) COLUMNS (a.id))", kW, Reason::kUnknownSyntax, kUnseen},  // by any grammar so far
      {"SELECT 'unterminated", kW, Reason::kUnknownSyntax, kUnseen},
  })));
}

TEST_CASE("a CTE hides a table only where it is in scope", "[parser][resolve]") {
  Check(GENERATE(values<Row>({
      {"WITH v AS (SELECT 1) SELECT * FROM v", kR, kSafe},
      {"WITH v AS (SELECT 1) SELECT * FROM public.v", kW, Reason::kVolatileFunction, kUnseen},
      {"SELECT * FROM (WITH v AS (SELECT 1) SELECT * FROM v) s, v", kW, Reason::kVolatileFunction, kUnseen},
      {"WITH v AS (SELECT * FROM v) SELECT * FROM v", kW, Reason::kVolatileFunction, kUnseen},
      {"WITH RECURSIVE v AS (SELECT 1 UNION SELECT * FROM v) SELECT * FROM v", kR, kSafe},
      {"WITH a AS (SELECT * FROM v), v AS (SELECT 1) SELECT * FROM a", kW, Reason::kVolatileFunction, kUnseen},
      {"WITH v AS (SELECT 1) SELECT * FROM t WHERE EXISTS (SELECT 1 FROM v)", kR, kSafe},
      {"WITH v AS (SELECT 1) SELECT (WITH w AS (SELECT * FROM v) SELECT 1 FROM w)", kR, kSafe},
      {"(WITH v AS (SELECT 1) SELECT * FROM v) UNION SELECT * FROM v", kW, Reason::kVolatileFunction, kUnseen},
  })));
}

TEST_CASE("the fence is spared only where nothing of the database is read", "[parser][resolve]") {
  const Catalog catalog = DemoCatalog();
  CHECK_FALSE(Judge("SELECT 1", &catalog).needs_fence);
  CHECK_FALSE(Judge("SELECT 1 + 1, pg_catalog.lower('X')", &catalog).needs_fence);
  CHECK_FALSE(Judge("", &catalog).needs_fence);
  CHECK(Judge("SELECT now()", &catalog).needs_fence);
  CHECK(Judge("SELECT 't'::regclass", &catalog).needs_fence);
  CHECK(Judge("SELECT 'sad'::mood", &catalog).needs_fence);
  CHECK(Judge("SELECT CURRENT_SCHEMA", &catalog).needs_fence);
  CHECK(Judge("SELECT pure_sql(1)", &catalog).needs_fence);  // it may have been replaced
  CHECK(Judge("SELECT 1 %% 2", &catalog).needs_fence);
  CHECK(Judge("SELECT * FROM t", &catalog).needs_fence);
  CHECK(Judge("SELECT 1; SELECT * FROM t", &catalog).needs_fence);
}

TEST_CASE("without a catalogue only what names nothing is a read", "[parser][resolve]") {
  CHECK(Judge("SELECT 1", nullptr).cls == Class::kRead);
  CHECK(Judge("SELECT * FROM t", nullptr).why == Reason::kNoCatalog);
  CHECK(Judge("SELECT * FROM t", nullptr).cls == Class::kWrite);
  CHECK(Judge("SELECT lower('x')", nullptr).why == Reason::kNoCatalog);
  CHECK(Judge("SELECT lower('x')", nullptr).pin == PinReason::kUnknownState);
  CHECK(Judge("INSERT INTO t VALUES (1)", nullptr).why == Reason::kWrite);
  CHECK(Judge("BEGIN", nullptr).cls == Class::kTransaction);
}

TEST_CASE("only reads and settings may run twice", "[parser][resolve]") {
  const Catalog catalog = DemoCatalog();
  CHECK(Judge("SELECT * FROM t", &catalog).repeatable);
  CHECK(Judge("SHOW ALL", &catalog).repeatable);
  CHECK(Judge("SET a.b = 1", &catalog).repeatable);
  CHECK_FALSE(Judge("SELECT nextval('s')", &catalog).repeatable);
  CHECK_FALSE(Judge("INSERT INTO t VALUES (1)", &catalog).repeatable);
  CHECK_FALSE(Judge("FETCH c", &catalog).repeatable);
  CHECK_FALSE(Judge("SELECT 1; DELETE FROM t", &catalog).repeatable);
}

TEST_CASE("an unsafe implicit cast keeps everything that names anything on the primary", "[parser][resolve]") {
  CatalogBuilder builder;
  builder.Relation({.schema = "public", .name = "t"})
      .Function({.id = 16400, .schema = "public", .name = "f", .arguments = "public.x"})
      .Cast({.source = "public.x",
             .target = "text",
             .target_type = 25,
             .function = 16400,
             .implicit = true,
             .built_in_target = true});
  const Catalog catalog = builder.Take();
  const Verdict verdict = Judge("SELECT * FROM t", &catalog);
  CHECK(verdict.why == Reason::kVolatileFunction);
  CHECK(verdict.path.at(0) == "cast (public.x AS text) → function public.f(public.x) is volatile");
  CHECK(Judge("SELECT 1", &catalog).cls == Class::kRead);
}

TEST_CASE("a verdict says how it was reached", "[parser][resolve]") {
  const Catalog catalog = DemoCatalog();
  const Verdict verdict = Judge("SELECT public.writer(1) FROM missing", &catalog);
  REQUIRE(verdict.path.size() == 2);
  CHECK(verdict.path[0] == "function public.writer(integer) is volatile");
  CHECK(verdict.path[1] == "relation missing is not in the catalogue");
  CHECK(Judge("SELECT * FROM v", &catalog).path.at(0) == "view public.v → function public.writer(integer) is volatile");
  CHECK(Judge("TABLE rls", &catalog).path.at(0) ==
        "table public.rls → policy p → operator public.<+> → "
        "function public.writer(integer) is volatile");
  CHECK(Judge("SELECT NULL::comp", &catalog).path.at(0) ==
        "type public.comp → domain public.dom → check c → "
        "function public.writer(integer) is volatile");
  CHECK(Judge("SELECT stable_dynamic()", &catalog).path.at(0) == "function public.stable_dynamic() runs dynamic SQL");
}

TEST_CASE("names are looked up under the session's search_path", "[parser][resolve]") {
  const Catalog catalog = DemoCatalog();
  const auto judge = [&](std::string_view sql, const SearchPath& path) {
    return ResolveAll(*Analyse(sql, Lexing{}), &catalog, {.path = &path});
  };
  const SearchPath with{.known = true, .schemas = {"public"}};
  const SearchPath other{.known = true, .schemas = {"other"}};
  CHECK(judge("SELECT overloaded(1)", with).cls == Class::kRead);
  CHECK(judge("SELECT overloaded(1)", other).why == Reason::kVolatileFunction);
  CHECK(judge("SELECT other.overloaded(1)", with).why == Reason::kVolatileFunction);
  CHECK(judge("SELECT * FROM t", other).why == Reason::kUnknownRelation);
  CHECK(judge("SELECT lower('x') FROM pg_class", other).cls == Class::kRead);
  // Behind a SET nobody knows.
  CHECK(judge("SET search_path = other; SELECT overloaded(1)", with).pin == PinReason::kUnknownState);
}

TEST_CASE("nothing is a read by a catalogue that has changed since", "[parser][resolve]") {
  const Catalog catalog = DemoCatalog();
  const auto judge = [&](std::string_view sql) {
    return ResolveAll(*Analyse(sql, Lexing{}), &catalog, {.path = nullptr, .stale = true});
  };
  CHECK(judge("SELECT * FROM t").why == Reason::kNoCatalog);
  CHECK(judge("SELECT count(*) FROM t").pin == PinReason::kNone);
  CHECK(judge("SELECT pure_c(1)").pin == PinReason::kUnknownState);  // it may be another by now
  CHECK(judge("SELECT 1").cls == Class::kRead);
  CHECK(judge("SELECT writer(1)").why == Reason::kVolatileFunction);
}

TEST_CASE("every reason, class and pin has a name of its own", "[parser][verdict]") {
  std::vector<std::string_view> names;
  for (int i = 0; i < static_cast<int>(Reason::kCount); ++i) names.push_back(ReasonName(static_cast<Reason>(i)));
  CHECK(names.front() == "read_safe");
  CHECK(ReasonName(Reason::kMultiStatement) == "multi_statement");
  CHECK(ReasonName(Reason::kTaught) == "taught");
  CHECK(ReasonName(Reason::kConsistencyPrimary) == "consistency_primary");
  CHECK(names.back() == "refused");
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  CHECK(PinReasonName(PinReason::kUnknownState) == "unknown_state");
  CHECK(PinReasonName(PinReason::kAdvisoryLock) == "advisory_lock");
  CHECK(ClassName(Class::kTransaction) == "transaction");
}

TEST_CASE("what shows the prepared statements of its session is known, also behind views and functions", "[parser][resolve]") {
  CatalogBuilder builder;
  builder.Relation({.id = 1, .schema = "pg_catalog", .name = "pg_prepared_statements", .kind = 'v', .built_in = true});
  builder.Function({.id = 2, .schema = "pg_catalog", .name = "pg_prepared_statement", .volatility = 's', .built_in = true});
  builder.Function({.id = 3,
                    .schema = "public",
                    .name = "count_them",
                    .volatility = 'v',
                    .language = Language::kPlpgsql,
                    .source = "BEGIN RETURN (SELECT count(*) FROM pg_prepared_statements); END"});
  builder.Relation({.id = 4, .schema = "public", .name = "other"});
  const Catalog catalog = builder.Take();
  const auto lists = [&](std::string_view sql) { return Judge(sql, &catalog).lists_prepared; };
  CHECK(lists("SELECT * FROM pg_prepared_statements"));
  CHECK(lists("SELECT 1; SELECT (pg_catalog.pg_prepared_statement()).name"));
  CHECK(lists("SELECT count_them()"));
  CHECK_FALSE(lists("SELECT * FROM other"));
  CHECK(Judge("SELECT * FROM pg_prepared_statements", nullptr).lists_prepared);
  CHECK_FALSE(Judge("SELECT * FROM other", nullptr).lists_prepared);
}

}  // namespace waypost
