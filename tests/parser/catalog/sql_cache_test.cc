#include "parser/catalog/sql_cache.h"

#include <string>

#include <catch2/catch.hpp>

#include "parser/catalog/builder.h"
#include "tests/support/demo_catalog.h"

namespace waypost {
namespace {

constexpr Lexing kPlain{};
constexpr ContextId kHere = 1;

struct Fixture {
  Catalog catalog = DemoCatalog();
  SqlCache cache;
  explicit Fixture(SqlCacheLimits limits = {}) : cache(limits, 42) {}
  const CachedStatement* Find(std::string_view text, ContextId context = kHere, Lexing lexing = kPlain) {
    return cache.Find(text, lexing, context, &catalog);
  }
};

}  // namespace

TEST_CASE("a text is parsed once and then found", "[parser][sql_cache]") {
  Fixture f;
  const auto first = f.Find("SELECT * FROM t")->sql;
  const CachedStatement* again = f.Find("SELECT * FROM t");
  CHECK(again->sql == first);
  CHECK(again->verdict.cls == Class::kRead);
  CHECK_FALSE(again->by_literals);
  CHECK(f.cache.counters().misses == 1);
  CHECK(f.cache.counters().hits == 1);
  CHECK(f.cache.counters().resolved == 1);
  CHECK(f.cache.counters().entries == 1);
}

TEST_CASE("texts that differ only in literals share facts", "[parser][sql_cache]") {
  Fixture f;
  const auto first = f.Find("SELECT abalance FROM pgbench_accounts WHERE aid = 1;")->sql;
  const std::string_view other = "SELECT abalance FROM pgbench_accounts WHERE aid = 98765;";
  const CachedStatement* hit = f.Find(other);
  CHECK(hit->by_literals);
  CHECK(hit->sql == first);
  CHECK(f.cache.counters().literal_hits == 1);
  CHECK(f.cache.counters().misses == 1);
  SECTION("and a session keeps its own text") {
    const auto kept = SqlCache::Keep(*hit, other);
    CHECK(kept->text == other);
    CHECK(kept->facts == first->facts);
  }
  SECTION("and the exact text is still found as such") {
    const CachedStatement* exact = f.Find("SELECT abalance FROM pgbench_accounts WHERE aid = 1;");
    CHECK_FALSE(exact->by_literals);
    CHECK(SqlCache::Keep(*exact, exact->sql->text) == exact->sql);
  }
}

TEST_CASE("texts whose literals may mean something are each parsed", "[parser][sql_cache]") {
  struct Pair {
    const char *first, *second;
  };
  const auto pair = GENERATE(values<Pair>({
      {"SELECT set_config('a.b', '1', false)", "SELECT set_config('a.b', '2', false)"},
      {"SELECT 's'::regclass", "SELECT 't'::regclass"},
      {"SELECT nextval('s')", "SELECT nextval('t')"},
      {"SELECT date '2020-01-01'", "SELECT date '2021-01-01'"},
      {"SELECT INTERVAL '1' HOUR", "SELECT INTERVAL '2' HOUR"},
      {"SELECT lower('a' || 'b')", "SELECT lower('c' || 'd')"},
      {"SET a.b = 1", "SET a.b = 2"},
      {"SELECT a -- 1\nFROM t", "SELECT a -- 2\nFROM t"},
      {"SELECT 1; DELETE FROM t", "SELECT 2; DELETE FROM t"},
      {"SELECT * FROM t WHERE a = $$1$$", "SELECT * FROM t WHERE a = $$2$$"},
      {"SELECT 1 AS a1", "SELECT 1 AS a2"},
      {"SELECT $1", "SELECT $2"},
      {"SELECT 1", "SELECT '1'"},
      {"SELECT \"a1\" FROM t", "SELECT \"a2\" FROM t"},
  }));
  CAPTURE(pair.first);
  Fixture f;
  f.Find(pair.first);
  f.Find(pair.second);
  CHECK(f.cache.counters().misses == 2);
  CHECK(f.cache.counters().literal_hits == 0);
}

TEST_CASE("settings in a cached text are those of that text", "[parser][sql_cache]") {
  Fixture f;
  f.Find("SELECT set_config('a.b', '1', false)");
  CHECK(f.Find("SELECT set_config('a.b', '2', false)")->facts().front().settings.front().value == "2");
}

TEST_CASE("how the lexer reads is part of the key", "[parser][sql_cache]") {
  Fixture f;
  const std::string_view sql = R"(SELECT 'a\' FROM t)";
  CHECK(f.Find(sql)->verdict.cls == Class::kRead);
  CHECK(f.Find(sql, kHere, Lexing{.standard_strings = false})->verdict.why == Reason::kParseError);
  CHECK(f.Find("SELECT '\x81\x27'", kHere, Lexing{.ascii_safe_encoding = false})->verdict.why == Reason::kParseError);
  CHECK(f.cache.counters().misses == 3);
}

TEST_CASE("another context is another verdict of the same facts", "[parser][sql_cache]") {
  Fixture f;
  CatalogBuilder builder;
  builder.Relation({.schema = "public", .name = "t", .persistence = 'u'});
  const Catalog changed = builder.Take();
  CHECK(f.Find("SELECT * FROM t", 1)->verdict.cls == Class::kRead);
  CHECK(f.cache.Find("SELECT * FROM t", kPlain, 2, &changed)->verdict.cls == Class::kWrite);
  CHECK(f.cache.Find("SELECT * FROM t", kPlain, 3, nullptr)->verdict.why == Reason::kNoCatalog);
  CHECK(f.Find("SELECT * FROM t", 1)->verdict.cls == Class::kRead);
  CHECK(f.cache.counters().misses == 1);
  CHECK(f.cache.counters().resolved == 3);
  for (ContextId context = 10; context < 20; ++context) f.Find("SELECT * FROM t", context);
  CHECK(f.Find("SELECT * FROM t", 1)->verdict.cls == Class::kRead);
  CHECK(f.cache.counters().entries == 1);
}

TEST_CASE("contexts are told apart by every part", "[parser][sql_cache]") {
  ContextTable table;
  const ContextId base = table.Intern("db", 1, "role", "path");
  CHECK(table.Intern("db", 1, "role", "path") == base);
  CHECK(table.Intern("db2", 1, "role", "path") != base);
  CHECK(table.Intern("db", 2, "role", "path") != base);
  CHECK(table.Intern("db", 1, "role2", "path") != base);
  CHECK(table.Intern("db", 1, "role", "path2") != base);
  CHECK(table.Intern("db", 1, "rolepath", "") != table.Intern("db", 1, "role", "path"));
  for (int i = 0; i < 10000; ++i) (void)table.Intern("db", 100U + static_cast<unsigned>(i), "", "");
  CHECK(table.Intern("other", 1, "", "") > 10000);
}

TEST_CASE("entries are bounded in number", "[parser][sql_cache]") {
  Fixture f(SqlCacheLimits{.max_entries = 8});
  for (int i = 0; i < 1000; ++i) f.Find("SELECT a" + std::to_string(i) + " FROM t");
  CHECK(f.cache.counters().entries == 8);
  CHECK(f.cache.counters().evictions == 992);
}

TEST_CASE("entries are bounded in bytes", "[parser][sql_cache]") {
  constexpr std::size_t kBytes = 100'000;
  Fixture f(SqlCacheLimits{.max_bytes = kBytes});
  for (int i = 0; i < 500; ++i) {
    f.Find("SELECT " + std::string(5000, 'a') + std::to_string(i) + " FROM t");
    REQUIRE(f.cache.counters().bytes <= kBytes);
  }
  CHECK(f.cache.counters().entries > 5);
  f.cache.Clear();
  CHECK(f.cache.counters().bytes == 0);
  CHECK(f.cache.counters().entries == 0);
  CHECK(f.Find("SELECT 1")->verdict.cls == Class::kRead);
}

TEST_CASE("what is used stays when the cache is full", "[parser][sql_cache]") {
  Fixture f(SqlCacheLimits{.max_entries = 8});
  for (int i = 0; i < 200; ++i) {
    f.Find("SELECT hot FROM t");
    f.Find("SELECT a" + std::to_string(i) + " FROM t");
  }
  CHECK(f.cache.counters().hits >= 190);
}

TEST_CASE("of long texts the last one alone is known", "[parser][sql_cache]") {
  Fixture f;
  const std::string sql = "SELECT '" + std::string(20'000, 'x') + "' FROM t";
  CHECK(f.Find(sql)->verdict.cls == Class::kRead);
  CHECK(f.Find(sql)->sql->text == sql);
  CHECK(f.cache.counters().entries == 0);
  CHECK(f.cache.counters().misses == 1);
  CHECK(f.Find(sql + " ")->sql->text == sql + " ");
  CHECK(f.Find(sql)->sql->text == sql);
  CHECK(f.cache.counters().misses == 3);
}

TEST_CASE("texts of one hash are never taken for each other", "[parser][sql_cache]") {
  Fixture f(SqlCacheLimits{.max_entries = 16, .hash_mask = GENERATE(0ULL, 1ULL, 7ULL)});
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 50; ++i) {
      const std::string number = std::to_string(i);
      const std::string read = "SELECT a" + number + " FROM t WHERE x = " + number;
      const std::string write = "DELETE FROM t WHERE b" + number + " = " + number;
      REQUIRE(f.Find(read)->verdict.cls == Class::kRead);
      REQUIRE(f.Find(write)->verdict.why == Reason::kWrite);
      REQUIRE(f.Find(read + "1")->facts().front().kind == StatementKind::kSelect);
      REQUIRE(f.Find(write + "1")->facts().front().kind == StatementKind::kDelete);
    }
  }
  CHECK(f.cache.counters().entries <= 16);
}

TEST_CASE("a kept statement outlives its entry and is not parsed again", "[parser][sql_cache]") {
  Fixture f(SqlCacheLimits{.max_entries = 2});
  const auto kept = f.Find("SELECT * FROM t")->sql;
  for (int i = 0; i < 20; ++i) f.Find("SELECT a" + std::to_string(i) + " FROM t");
  const CachedStatement* again = f.cache.FindKept(kept, kPlain, kHere, &f.catalog);
  CHECK(again->sql == kept);
  CHECK(again->verdict.cls == Class::kRead);
  CHECK(f.cache.FindKept(kept, kPlain, 2, nullptr)->verdict.why == Reason::kNoCatalog);
  CHECK(f.Find("SELECT * FROM t")->sql == kept);
}

TEST_CASE("what a replica refused is a write from then on", "[parser][sql_cache]") {
  Fixture f;
  f.Find("SELECT a FROM t WHERE id = 1");
  f.cache.Teach("SELECT a FROM t WHERE id = 1", kPlain);
  CHECK(f.Find("SELECT a FROM t WHERE id = 1")->verdict.why == Reason::kTaught);
  CHECK(f.Find("SELECT a FROM t WHERE id = 2", 7)->verdict.why == Reason::kTaught);
  CHECK(f.Find("SELECT b FROM t WHERE id = 1")->verdict.cls == Class::kRead);
  f.cache.Teach("SELECT b FROM t WHERE id = 99", kPlain);  // asked for with other literals
  CHECK(f.Find("SELECT b FROM t WHERE id = 1")->verdict.cls == Class::kWrite);
  f.cache.Teach("SELECT never seen", kPlain);
}

TEST_CASE("texts that do not parse are counted", "[parser][sql_cache]") {
  Fixture f;
  f.Find("SELEC");
  f.Find("SELEC");
  f.Find("SELECT 1");
  CHECK(f.cache.counters().parse_errors == 1);
}

TEST_CASE("what was analysed elsewhere is known from then on", "[parser][sql_cache]") {
  const std::size_t length = GENERATE(10, 10'000);  // kept, and too long to keep
  Fixture f(SqlCacheLimits{.max_text_bytes = 1000});
  const std::string text = "SELECT a FROM t WHERE id = 1" + std::string(length, ' ');
  CHECK_FALSE(f.cache.Knows(text, kPlain, kHere));
  const auto sql = std::make_shared<const SqlText>(SqlText{text, Analyse(text, kPlain)});
  CHECK_FALSE(f.cache.KnowsKept(sql, kPlain, kHere));
  ReadText read{.sql = sql, .lexing = kPlain, .context = kHere, .verdict = {}, .marks = {}};
  read.verdict.why = Reason::kTaught;  // told from what the cache would find
  CHECK(f.cache.FindRead(read, kHere, &f.catalog)->verdict.why == Reason::kTaught);
  CHECK(f.cache.Knows(text, kPlain, kHere));
  CHECK(f.cache.KnowsKept(sql, kPlain, kHere));
  CHECK_FALSE(f.cache.Knows(text, Lexing{.standard_strings = false}, kHere));
  CHECK(f.Find(text)->sql == sql);
  CHECK(f.cache.counters().misses == 1);
  CHECK(f.cache.Knows("SELECT a FROM t WHERE id = 2" + std::string(length, ' '), kPlain, kHere) == (length < 1000));
  constexpr ContextId kThere = kHere + 1;
  CHECK_FALSE(f.cache.Knows(text, kPlain, kThere));
  CHECK_FALSE(f.cache.KnowsKept(sql, kPlain, kThere));
  CHECK(f.cache.FindRead(read, kThere, &f.catalog)->verdict.cls == Class::kRead);
}

}  // namespace waypost
