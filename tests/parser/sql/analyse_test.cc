#include <pthread.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "parser/sql/facts.h"

namespace waypost {
namespace {

Facts One(std::string_view sql) {
  const FactsList list = Analyse(sql, Lexing{});
  REQUIRE(list->size() == 1);
  return list->front();
}

// Runs `work` on a thread with as little stack as a thread pool may give.
template <class Work>
void OnSmallStack(Work work) {
  constexpr std::size_t kStackBytes = 256 << 10;
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStackBytes) == 0);
  const auto run = [](void* argument) -> void* {
    (*static_cast<Work*>(argument))();
    return nullptr;
  };
  pthread_t thread{};
  REQUIRE(pthread_create(&thread, &attributes, run, &work) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

std::string Repeat(std::string_view text, std::size_t times) {
  std::string result;
  result.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

// A few bytes that no two seeds share; xorshift, so that a failure can be repeated.
struct Noise {
  std::uint64_t state;
  std::uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
};

}  // namespace

TEST_CASE("SET is remembered as a statement that says the same", "[parser][analyse]") {
  using Kind = SettingEffect::Kind;
  struct Row {
    const char* sql;
    Kind kind;
    const char *name, *replay, *value;
  };
  const auto row = GENERATE(values<Row>({
      {"SET work_mem = '5MB'", Kind::kSet, "work_mem", "SET work_mem TO '5MB'", "5MB"},
      {"set WORK_MEM to 64", Kind::kSet, "work_mem", "SET work_mem TO 64", "64"},
      {"SET SESSION x.y = 'a''b' -- why\n", Kind::kSet, "x.y", "SET \"x\".\"y\" TO 'a''b'", "a'b"},
      {"SET \"X.Z\" = off", Kind::kSet, "x.z", "SET \"x\".\"z\" TO 'off'", "off"},
      {"SET seed = -0.5", Kind::kSet, "seed", "SET seed TO -0.5", "-0.5"},
      {"SET jit = true", Kind::kSet, "jit", "SET jit TO 'true'", "true"},
      {"SET search_path TO a, \"B c\", public", Kind::kSet, "search_path", "SET search_path TO 'a', 'B c', 'public'", ""},
      {"SET DateStyle = ISO, DMY", Kind::kSet, "datestyle", "SET datestyle TO 'iso', 'dmy'", ""},
      {"SET SCHEMA 'a'", Kind::kSet, "search_path", "SET search_path TO 'a'", "a"},
      {"SET TIME ZONE 'Europe/Berlin'", Kind::kSet, "timezone", "SET timezone TO 'Europe/Berlin'", "Europe/Berlin"},
      {"SET TIME ZONE -3.5", Kind::kSet, "timezone", "SET timezone TO -3.5", "-3.5"},
      {"SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", Kind::kSet, "timezone", "SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE",
       ""},
      {"SET NAMES 'LATIN1'", Kind::kSet, "client_encoding", "SET client_encoding TO 'LATIN1'", "LATIN1"},
      {"SET ROLE \"Bob\"", Kind::kSet, "role", "SET role TO 'Bob'", "Bob"},
      {"SET ROLE NONE", Kind::kSet, "role", "SET role TO 'none'", "none"},
      {"SET SESSION AUTHORIZATION bob", Kind::kSet, "session_authorization", "SET session_authorization TO 'bob'", "bob"},
      {"SET application_name = E'a\\\\b'", Kind::kSet, "application_name", "SET application_name TO E'a\\\\b'", "a\\b"},
      {"SET LOCAL work_mem = 1", Kind::kSetLocal, "work_mem", "SET LOCAL work_mem TO 1", "1"},
      {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Kind::kSet, "default_transaction_read_only",
       "SET default_transaction_read_only TO 'on'", "on"},
      {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", Kind::kSet, "default_transaction_isolation",
       "SET default_transaction_isolation TO 'serializable'", "serializable"},
      {"SELECT set_config('Work_Mem', '5MB', false)", Kind::kSet, "work_mem", "SET work_mem TO '5MB'", "5MB"},
      {"SELECT pg_catalog.set_config('search_path', '', false)", Kind::kSet, "search_path", "SET search_path TO ''", ""},
      {"SELECT set_config('search_path', 'a, \"B\"', false)", Kind::kSet, "search_path", "SET search_path TO 'a', 'B'",
       "a, \"B\""},
      {"SELECT set_config('a.b', 'x'::text, true)", Kind::kSetLocal, "a.b", "SET LOCAL \"a\".\"b\" TO 'x'", "x"},
      {"RESET work_mem", Kind::kReset, "work_mem", "", ""},
      {"SET Work_Mem TO DEFAULT", Kind::kReset, "work_mem", "", ""},
      {"RESET ROLE", Kind::kReset, "role", "", ""},
      {"SET TIME ZONE LOCAL", Kind::kReset, "timezone", "", ""},
      {"RESET TIME ZONE", Kind::kReset, "timezone", "", ""},
      {"RESET SESSION AUTHORIZATION", Kind::kReset, "session_authorization", "", ""},
      {"RESET ALL", Kind::kResetAll, "", "", ""},
      {"DISCARD ALL", Kind::kDiscardAll, "", "", ""},
  }));
  CAPTURE(row.sql);
  const Facts facts = One(row.sql);
  REQUIRE(facts.settings.size() == 1);
  CHECK(facts.settings[0].kind == row.kind);
  CHECK(facts.settings[0].name == row.name);
  CHECK(facts.settings[0].sql == row.replay);
  CHECK(facts.settings[0].value == row.value);
  CHECK(facts.pin == (facts.settings[0].name == "seed" ? PinReason::kSetSeed : PinReason::kNone));
  if (row.replay[0] != '\0') {  // what we send again means the same to us
    const Facts again = One(row.replay);
    REQUIRE(again.settings.size() == 1);
    CHECK(again.settings[0].sql == row.replay);
    CHECK(again.settings[0].name == row.name);
  }
}

TEST_CASE("SET with several modes is several settings", "[parser][analyse]") {
  const Facts facts =
      One("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, "
          "NOT DEFERRABLE");
  REQUIRE(facts.settings.size() == 3);
  CHECK(facts.settings[0].sql == "SET default_transaction_isolation TO 'repeatable read'");
  CHECK(facts.settings[1].sql == "SET default_transaction_read_only TO 'off'");
  CHECK(facts.settings[2].sql == "SET default_transaction_deferrable TO 'off'");
}

TEST_CASE("a set_config that may run never or twice leaves the setting unknown", "[parser][analyse]") {
  const auto sql = GENERATE(values<const char*>({
      "SELECT set_config('a.b', x, false) FROM t",
      "SELECT set_config('a.b', '1', false) FROM t",
      "SELECT set_config('a.b', $1, false)",
      "SELECT set_config('a.b', '1', $1)",
      "SELECT set_config($1, '1', false)",
      "SELECT set_config('a.b', NULL, false)",
      "SELECT set_config('a.b', 'x'::char, false)",
      "SELECT set_config('a.b', '1', false) WHERE false",
      "SELECT CASE WHEN x THEN set_config('a.b', '1', false) END FROM t",
      "SELECT upper(set_config('a.b', '1', false))",
      "SELECT set_config('a.b', '1', false) UNION SELECT '2'",
      "SELECT set_config('search_path', '\"a\"\"b\"', false)",
      "SELECT set_config('transaction_read_only', 'on', false)",
      "INSERT INTO t SELECT set_config('a.b', '1', false)",
      "CREATE TABLE x AS SELECT set_config('a.b', y, false) FROM t",
      "EXPLAIN ANALYZE SELECT set_config('a.b', y, false) FROM t",
      "COPY (SELECT set_config('a.b', y, false) FROM t) TO STDOUT",
      "DECLARE c CURSOR FOR SELECT set_config('a.b', '1', false)",
  }));
  CAPTURE(sql);
  const Facts facts = One(sql);
  CHECK(facts.settings.empty());
  CHECK(facts.state_unknown);
  CHECK(facts.pin == PinReason::kUnknownState);
}

TEST_CASE("what is only planned or kept sets nothing", "[parser][analyse]") {
  const auto sql = GENERATE(values<const char*>({
      "EXPLAIN SELECT set_config('a.b', '1', false)",
      "EXPLAIN SELECT pg_advisory_lock(1)",
      "EXPLAIN CREATE TEMP TABLE x AS SELECT 1",
      "SELECT other.set_config('a.b', '1', false)",
  }));
  CAPTURE(sql);
  const Facts facts = One(sql);
  CHECK(facts.settings.empty());
  CHECK_FALSE(facts.state_unknown);
  CHECK(facts.pin == PinReason::kNone);
}

TEST_CASE("the modes of a transaction are read", "[parser][analyse]") {
  CHECK_FALSE(One("BEGIN").modes.read_only.has_value());
  CHECK(One("BEGIN READ ONLY").modes.read_only == true);
  CHECK(One("START TRANSACTION READ WRITE").modes.read_only == false);
  CHECK(One("BEGIN ISOLATION LEVEL SERIALIZABLE").modes.serializable == true);
  CHECK(One("BEGIN ISOLATION LEVEL READ COMMITTED").modes.serializable == false);
  CHECK(One("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").modes.repeatable_read == true);
  for (const char* sql : {"SET TRANSACTION READ ONLY", "SET transaction_read_only = on",
                          "SET LOCAL transaction_read_only TO 'tr'", "SET TRANSACTION_READ_ONLY TO 1"}) {
    CAPTURE(sql);
    const Facts facts = One(sql);
    CHECK(facts.modes.read_only == true);
    REQUIRE(facts.settings.size() == 1);
    CHECK(facts.settings[0].kind == SettingEffect::Kind::kTransaction);
  }
  CHECK(One("SET transaction_isolation = 'SERIALIZABLE'").modes.serializable == true);
  CHECK(One("SET TRANSACTION SNAPSHOT '0-1'").settings[0].kind == SettingEffect::Kind::kTransaction);
}

TEST_CASE("names are found, folded and listed once", "[parser][analyse]") {
  const Facts facts = One("SELECT Lower(a.B), lower('x') FROM Public.T a, \"T\" WHERE a.b = 1 AND a.c = 2");
  using Kind = NameRef::Kind;
  const std::vector<NameRef> expected = {{Kind::kFunction, "", "lower", 1}, {Kind::kRelation, "", "T"},
                                         {Kind::kRelation, "public", "t"},  {Kind::kOperator, "", "="},
                                         {Kind::kAttribute, "", "b"},       {Kind::kAttribute, "", "c"}};
  CHECK(facts.names == expected);
}

TEST_CASE("the object of a statement is kept", "[parser][analyse]") {
  CHECK(One("PREPARE \"P\" AS SELECT 1").object == "P");
  CHECK(One("EXECUTE p").object == "p");
  CHECK(One("DEALLOCATE p").object == "p");
  CHECK(One("DEALLOCATE ALL").object.empty());
  CHECK(One("DECLARE c CURSOR FOR SELECT 1").object == "c");
  CHECK(One("CLOSE c").object == "c");
  CHECK(One("CLOSE ALL").object.empty());
  CHECK(One("SAVEPOINT s").object == "s");
  CHECK(One("LISTEN ch").object == "ch");
  CHECK(One("DISCARD TEMP").object == "temp");
  CHECK(One("SHOW Work_Mem").object == "work_mem");
}

TEST_CASE("what a query returns is for the catalogue to say, what a utility does is not", "[parser][analyse]") {
  const auto [sql, varies] = GENERATE(table<std::string, bool>({
      {"SELECT * FROM t", true},
      {"VALUES (1)", true},
      {"TABLE t", true},
      {"WITH w AS (SELECT 1) SELECT * FROM w", true},
      {"INSERT INTO t VALUES (1)", false},
      {"INSERT INTO t VALUES (1) RETURNING *", true},
      {"UPDATE t SET a = 1", false},
      {"UPDATE t SET a = 1 RETURNING a", true},
      {"DELETE FROM t", false},
      {"DELETE FROM t RETURNING a", true},
      {"WITH w AS (DELETE FROM t RETURNING a) INSERT INTO t SELECT * FROM w", false},
      {"BEGIN", false},
      {"SHOW work_mem", false},
      {"EXPLAIN SELECT * FROM t", false},
      {"FETCH c", false},
      {"CREATE TABLE t (a int)", false},
      {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", true},
      {"SELECT FROM WHERE", true},
  }));
  CAPTURE(sql);
  CHECK(Analyse(sql, {})->front().result_varies == varies);
}

TEST_CASE("SQL/JSON is followed where the grammar has it, and else a form that is not known", "[parser][analyse]") {
  // Each reads t, calls f and makes a d.
  const auto sql = GENERATE(
      as<std::string>{}, "SELECT x.* FROM t, JSON_TABLE(f(t.j), '$[*]' COLUMNS (n FOR ORDINALITY, a d PATH '$.a')) x",
      "SELECT x.* FROM JSON_TABLE(jsonb '[]', '$[*]' PASSING f(1) AS p COLUMNS (NESTED PATH '$.b[*]' COLUMNS (b d PATH '$'))) x, "
      "t",
      "SELECT x.* FROM JSON_TABLE(jsonb '[]', '$' COLUMNS (a d PATH '$.a' DEFAULT f(1) ON EMPTY)) x JOIN t ON true",
      "SELECT x.* FROM JSON_TABLE(jsonb '[]', '$' COLUMNS (a d EXISTS PATH '$.a', b int PATH '$.b' DEFAULT f(2) ON ERROR)) x, t",
      "SELECT JSON_VALUE(t.j, '$.a' PASSING f(1) AS p RETURNING d DEFAULT 1 ON EMPTY) FROM t",
      "SELECT JSON_QUERY(f(t.j), '$.a' RETURNING d ERROR ON ERROR) FROM t",
      "SELECT JSON_EXISTS(t.j, '$.a' PASSING f(1) AS p), 1::d FROM t", "SELECT JSON_SERIALIZE(f(j) RETURNING d) FROM t",
      "SELECT JSON(f(j)), JSON_SCALAR(1::d) FROM t", "SELECT JSON_OBJECT('a': f(1), 'b': id RETURNING d) FROM t",
      "SELECT JSON_ARRAY(f(1), 2 RETURNING d) FROM t", "SELECT JSON_ARRAY(SELECT f(id) FROM t RETURNING d)",
      "SELECT JSON_ARRAYAGG(f(id) ORDER BY id RETURNING d) FROM t",
      "SELECT JSON_OBJECTAGG('k': 1 RETURNING d) FILTER (WHERE f(id) > 1) FROM t",
      "SELECT JSON_OBJECTAGG('k': id RETURNING d) OVER (PARTITION BY f(id)) FROM t", "SELECT f(j) IS JSON OBJECT, j::d FROM t");
  CAPTURE(sql);
  const Facts facts = One(sql);
  if (facts.kind == StatementKind::kUnknown) {
    CHECK(std::stoi(std::string(GrammarMajor())) < 17);
    CHECK(facts.form_reason == Reason::kUnknownSyntax);
    return;
  }
  CHECK_FALSE(facts.writes_by_form);
  using Kind = NameRef::Kind;
  for (const auto& [kind, name] : {std::pair{Kind::kRelation, "t"}, {Kind::kFunction, "f"}, {Kind::kType, "d"}}) {
    CAPTURE(name);
    CHECK(std::any_of(facts.names.begin(), facts.names.end(),
                      [&, kind = kind, name = name](const NameRef& ref) { return ref.kind == kind && ref.name == name; }));
  }
  CHECK(One("SELECT JSON_ARRAY(WITH w AS (DELETE FROM t RETURNING id) SELECT id FROM w)").writes_by_form);
  CHECK(One("SELECT JSON_ARRAY(SELECT id FROM t FOR UPDATE)").writes_by_form);
  CHECK(One("SELECT JSON_VALUE(j, '$.a') FROM t").literals_matter);
}

TEST_CASE("a text that the server may lex otherwise is not understood", "[parser][analyse]") {
  const Lexing old{.standard_strings = false};
  const Lexing sjis{.ascii_safe_encoding = false};
  CHECK(Analyse("SELECT 1", old)->front().kind == StatementKind::kSelect);
  CHECK(Analyse("SELECT '\\'", old)->front().form_reason == Reason::kParseError);
  CHECK(Analyse("SELECT 1", sjis)->front().kind == StatementKind::kSelect);
  CHECK(Analyse("SELECT '\x83\x5c'", sjis)->front().form_reason == Reason::kParseError);
}

TEST_CASE("what does not parse is one unknown statement that pins", "[parser][analyse]") {
  const auto sql = GENERATE(as<std::string>{}, "SELEC", "SELECT 1; SELEC", "SELECT 'x", "\"", "/* open", "$$", "\\",
                            std::string("SELECT 1\0; DELETE FROM t", 24), "\xff\xfe", "SELECT E'\\xff'", "SELECT U&'\\D800'");
  const FactsList list = Analyse(sql, Lexing{});
  REQUIRE(list->size() == 1);
  CHECK(list->front().kind == StatementKind::kUnknown);
  CHECK(list->front().writes_by_form);
  CHECK(list->front().state_unknown);
  CHECK(list->front().pin == PinReason::kUnknownState);
  CHECK_FALSE(list->front().repeatable);
}

TEST_CASE("size and depth cost neither stack nor process", "[parser][analyse][limits]") {
  OnSmallStack([] {
    const auto kind = [](const std::string& sql) { return Analyse(sql, Lexing{})->front().kind; };
    CHECK(kind("SELECT 1" + Repeat("+1", 1'000'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT 1 WHERE true" + Repeat(" AND a", 200'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT 1" + Repeat(" UNION SELECT 1", 100'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT a" + Repeat("::int", 100'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT " + Repeat("(", 1'000'000)) == StatementKind::kUnknown);
    CHECK(kind("SELECT " + Repeat("(", 2'000) + "1" + Repeat(")", 2'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT " + Repeat("- ", 3'000) + "1") == StatementKind::kSelect);
    CHECK(kind("SELECT " + Repeat("f(", 1'500) + "1" + Repeat(")", 1'500)) == StatementKind::kSelect);
    CHECK(kind(Repeat("SELECT * FROM (", 1'000) + "SELECT 1" + Repeat(") s", 1'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT " + Repeat("CASE WHEN ", 900'000 / 10)) == StatementKind::kUnknown);
    CHECK(kind("SELECT a" + Repeat("[1]", 200'000)) == StatementKind::kSelect);
    CHECK(kind("SELECT a FROM t" + Repeat(" JOIN t USING (a)", 50'000)) == StatementKind::kSelect);
    CHECK(Analyse(Repeat("SELECT 1;", 100'000), Lexing{})->size() == 100'000);
    const FactsList large = Analyse("SELECT '" + std::string(50'000'000, 'x') + "'", Lexing{});
    CHECK(large->front().kind == StatementKind::kUnknown);
    CHECK(large->front().form_reason == Reason::kTooLarge);
    CHECK(kind("SELECT '" + std::string(kMaxAnalysedBytes - 9, 'x') + "'") == StatementKind::kSelect);
    CHECK(kind("SELECT " + std::string(100'000, 'n') + " FROM t") == StatementKind::kSelect);
  });
}

TEST_CASE("many CTEs do not cost the square of their number", "[parser][analyse][limits]") {
  std::string sql = "WITH c0 AS (SELECT 1)";
  for (int i = 1; i < 20'000; ++i) {
    sql += ", c" + std::to_string(i) + " AS (SELECT * FROM c" + std::to_string(i - 1) + ")";
  }
  const Facts facts = One(sql + " SELECT * FROM c19999");
  CHECK(facts.names.size() == 20'000);  // looked up like tables, found by nobody: the primary
}

TEST_CASE("garbage of every kind is survived", "[parser][analyse][limits]") {
  OnSmallStack([] {
    const std::vector<std::string> words = {"SELECT",
                                            "FROM",
                                            "WHERE",
                                            "(",
                                            ")",
                                            ",",
                                            "'x'",
                                            "1",
                                            "\"q\"",
                                            "WITH",
                                            "AS",
                                            "INSERT INTO",
                                            "VALUES",
                                            "t",
                                            "*",
                                            "::",
                                            "[",
                                            "]",
                                            ";",
                                            "SET",
                                            "=",
                                            "CREATE TABLE",
                                            "EXPLAIN",
                                            "COPY",
                                            "TO",
                                            "STDOUT",
                                            "OVER",
                                            "CASE",
                                            "WHEN",
                                            "THEN",
                                            "END",
                                            "f",
                                            "$1",
                                            "FOR UPDATE",
                                            "UNION",
                                            "ORDER BY",
                                            "EXECUTE",
                                            "DECLARE c CURSOR FOR",
                                            "XMLTABLE",
                                            "ROW",
                                            "ARRAY",
                                            "GROUP BY",
                                            "GROUPING SETS",
                                            "JOIN",
                                            "USING",
                                            "ON",
                                            "LATERAL",
                                            "TABLESAMPLE"};
    Noise noise{.state = 88172645463325252ULL};
    for (int i = 0; i < 20'000; ++i) {
      std::string sql;
      for (std::uint64_t n = 1 + noise.Next() % 14; n > 0; --n) sql += words[noise.Next() % words.size()] + " ";
      (void)Analyse(sql, Lexing{});
      for (char& c : sql) c = static_cast<char>(1 + noise.Next() % 255);
      (void)Analyse(sql, Lexing{});
    }
  });
  SUCCEED();
}

TEST_CASE("several threads analyse at once", "[parser][analyse]") {
  std::vector<std::thread> threads;
  std::vector<int> good(4);
  for (int& count : good) {
    threads.emplace_back([&count] {
      for (int i = 0; i < 2000; ++i) {
        count += Analyse("SELECT a FROM t WHERE x = " + std::to_string(i), Lexing{})->front().names.size() == 2;
        count += Analyse("SELEC", Lexing{})->front().kind == StatementKind::kUnknown;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == std::vector<int>(4, 4000));
}

TEST_CASE("every kind of statement that the grammar knows is taken without harm", "[parser][analyse]") {
  // Utility statements are not walked: none may be a read, whatever it contains.
  const auto sql = GENERATE(values<const char*>({
      "ALTER TABLE t ADD COLUMN a int DEFAULT f()",
      "CREATE INDEX ON t (f(a)) WHERE g(b)",
      "CREATE VIEW v AS SELECT * FROM t",
      "CREATE RULE r AS ON INSERT TO t DO INSTEAD SELECT 1",
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
      "CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f()",
      "CREATE POLICY p ON t USING (f(a))",
      "CREATE DOMAIN d AS int CHECK (f(VALUE))",
      "CREATE TYPE e AS ENUM ('a')",
      "CREATE DATABASE x",
      "DROP TABLE t",
      "COMMENT ON TABLE t IS 'x'",
      "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y",
      "REINDEX TABLE t",
      "CLUSTER t",
      "SECURITY LABEL ON TABLE t IS 'x'",
      "CREATE STATISTICS s ON a, b FROM t",
      "CREATE PUBLICATION p FOR ALL TABLES",
      "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x",
      "CREATE SCHEMA s CREATE TABLE t (a int)",
      "REASSIGN OWNED BY a TO b",
      "CREATE EXTENSION x",
      "SET CONSTRAINTS ALL DEFERRED",
  }));
  CAPTURE(sql);
  const Facts facts = One(sql);
  CHECK(facts.kind == StatementKind::kDdl);
  CHECK(facts.writes_by_form);
  CHECK(facts.form_reason == Reason::kDdl);
  CHECK_FALSE(facts.repeatable);
}

TEST_CASE("a statement says what it does to the catalogue", "[parser][analyse]") {
  using Change = CatalogChange;
  const auto [sql, change] = GENERATE(table<const char*, Change>({
      {"SELECT 1", Change::kNone},
      {"INSERT INTO t VALUES (1)", Change::kNone},
      {"CREATE TEMP TABLE x (a int)", Change::kNone},
      {"CREATE TEMP VIEW x AS SELECT 1", Change::kNone},
      {"TRUNCATE t", Change::kNone},
      {"VACUUM t", Change::kNone},
      {"ANALYZE", Change::kNone},
      {"CREATE INDEX ON t (a)", Change::kNone},
      {"REFRESH MATERIALIZED VIEW m", Change::kNone},
      {"GRANT SELECT ON t TO x", Change::kNone},
      {"CREATE TABLE x (a int)", Change::kLater},
      {"CREATE TABLE x AS SELECT 1", Change::kLater},
      {"SELECT * INTO x FROM t", Change::kLater},
      {"SELECT * INTO TEMP x FROM t", Change::kNone},
      {"DROP TABLE x", Change::kLater},
      {"DROP FUNCTION f", Change::kLater},
      {"CREATE UNLOGGED TABLE x (a int)", Change::kNow},
      {"SELECT * INTO UNLOGGED x FROM t", Change::kNow},
      {"CREATE VIEW x AS SELECT 1", Change::kNow},
      {"CREATE SEQUENCE x", Change::kNow},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_temp AS 'x'", Change::kNow},
      {"ALTER FUNCTION f() VOLATILE", Change::kNow},
      {"ALTER TABLE t ENABLE ROW LEVEL SECURITY", Change::kNow},
      {"CREATE POLICY p ON t USING (true)", Change::kNow},
      {"ALTER ROLE x LOGIN", Change::kNow},
      {"ALTER ROLE x SET search_path = y", Change::kDefaults},
      {"ALTER DATABASE x RESET ALL", Change::kDefaults},
      {"DO 'x'", Change::kNow},
      {"COMMIT PREPARED 'x'", Change::kNow},
      {"PREPARE TRANSACTION 'x'", Change::kNone},
      {"ROLLBACK PREPARED 'x'", Change::kNone},
      {"SELEC 1", Change::kNow},
  }));
  INFO(sql);
  CHECK(One(sql).catalog == change);
}

TEST_CASE("what wants a database to itself says which, and which names it changes", "[parser][analyse]") {
  using Names = std::vector<std::string>;
  const auto [sql, alone, renewed] = GENERATE(table<std::string, std::string, Names>({
      {"DROP DATABASE d", "d", {"d"}},
      {"DROP DATABASE IF EXISTS \"D\" WITH (FORCE)", "D", {"D"}},
      {"ALTER DATABASE d RENAME TO e", "d", {"d", "e"}},
      {"ALTER DATABASE d SET TABLESPACE t", "d", {}},
      {"CREATE DATABASE d", "template1", {"d"}},
      {"CREATE DATABASE d TEMPLATE e", "e", {"d"}},
      {"CREATE DATABASE d WITH OWNER o TEMPLATE = 'e' ENCODING 'UTF8'", "e", {"d"}},
      {"CREATE DATABASE d TEMPLATE DEFAULT", "template1", {"d"}},
  }));
  CAPTURE(sql);
  const auto facts = One(sql);
  REQUIRE(facts.databases != nullptr);
  CHECK(facts.databases->alone == alone);
  CHECK(facts.databases->renewed == renewed);
}

TEST_CASE("what leaves a database to others wants none", "[parser][analyse]") {
  const auto sql =
      GENERATE("ALTER DATABASE d OWNER TO x", "ALTER DATABASE d SET work_mem = 1", "ALTER DATABASE d CONNECTION LIMIT 1",
               "ALTER TABLE d RENAME TO e", "DROP TABLE d", "ALTER ROLE d RENAME TO e", "DROP ROLE d", "DROP TABLESPACE d",
               "REASSIGN OWNED BY d TO e", "COMMENT ON DATABASE d IS ''", "SELECT 1");
  CAPTURE(sql);
  CHECK(One(sql).databases == nullptr);
}

}  // namespace waypost
