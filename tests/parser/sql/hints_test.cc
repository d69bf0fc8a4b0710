#include "parser/sql/hints.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

using namespace waypost;

TEST_CASE("a hint stands in a comment before the first word or behind the last", "[parser][hints]") {
  const auto [sql, value] = GENERATE(table<std::string, std::string>({
      {"SELECT 1", ""},
      {"/*NO LOAD BALANCE*/ SELECT 1", "primary"},
      {"/* no load balance */SELECT 1", "primary"},
      {"SELECT 1 /*NO LOAD BALANCE*/", ""},
      {"/* pgdog_role: primary */ SELECT 1", "primary"},
      {"/* pgdog_role: replica */ SELECT 1", "replica"},
      {"/* pgdog_shard: 3, pgdog_role: replica */ SELECT 1", "replica"},
      {"/* pgdog_role: eventual */ SELECT 1", ""},
      {"/* waypost: eventual */ SELECT 1", "eventual"},
      {"/*WAYPOST:Primary*/SELECT 1", "primary"},
      {"/* waypost : nightly-report */ SELECT 1", "nightly-report"},
      {"  \n/* a comment */ -- another\n /* waypost: primary */ SELECT 1", "primary"},
      {"SELECT 1 /* waypost: replica */", "replica"},
      {"SELECT 1; /* waypost: replica */ ;\n", "replica"},
      {"/* waypost: primary */ SELECT 1 /* waypost: replica */", "primary"},
      {"SELECT 1 /* waypost: primary */ /* waypost: replica */", "primary"},
      {"/* waypost: primary */", "primary"},
  }));
  CAPTURE(sql);
  CHECK(HintIn(sql, {}) == value);
}

TEST_CASE("what only looks like a hint is none", "[parser][hints]") {
  const auto sql = GENERATE(
      as<std::string>{}, "SELECT '/* waypost: primary */'", "SELECT $$ /* waypost: primary */ $$",
      "SELECT $a$ $$ /* waypost: primary */ $a$", "SELECT \"/* waypost: primary */\"", "SELECT E'\\'/* waypost: primary */'",
      "SELECT 1 /* waypost: primary */ + 1", "SELECT 1 -- /* waypost: primary */", "-- /* waypost: primary */\nSELECT 1",
      "-- waypost: primary\nSELECT 1", "/* /* waypost: primary */ */ SELECT 1", "/* waypost: primary and more */ SELECT 1",
      "/* see waypost: primary */ SELECT 1", "/* waypost primary */ SELECT 1", "/* waypost: */ SELECT 1", "/* waypost: primary",
      "SELECT 1 /* waypost: primary", "/*/ waypost: primary */ SELECT '", "SELECT '/* waypost: primary */");
  CAPTURE(sql);
  CHECK(HintIn(sql, {}).empty());
}

TEST_CASE("where a string ends depends on how the session's strings are read", "[parser][hints]") {
  const std::string sql = R"(SELECT '\' /* waypost: primary */ --')";
  CHECK(HintIn(sql, {.standard_strings = true}) == "primary");
  CHECK(HintIn(sql, {.standard_strings = false}).empty());
}

TEST_CASE("words that no rule must explain", "[parser][hints]") {
  CHECK(HintOf("") == Hint::kNone);
  CHECK(HintOf("primary") == Hint::kPrimary);
  CHECK(HintOf("bounded") == Hint::kBounded);
  CHECK(HintOf("nightly-report") == Hint::kOther);
}
