#include "parser/literal_key.h"

#include <string>

#include <catch2/catch.hpp>

namespace waypost {
namespace {

// The key with # for a number and ? for a string; "-" if there is none.
std::string Key(std::string_view sql, Lexing lexing = {}) {
  std::string key;
  if (!LiteralKey(sql, lexing, key)) return "-";
  for (char& c : key) {
    if (c == '\x01') c = '#';
    if (c == '\x02') c = '?';
  }
  return key;
}

}  // namespace

TEST_CASE("literals are left out of the key, and nothing else", "[parser][literal_key]") {
  struct Row {
    const char *sql, *key;
  };
  const auto row = GENERATE(values<Row>({
      {"SELECT 1", "SELECT #"},
      {"select a1, b FROM t WHERE c='it''s' AND d=1.5e-3;", "select a1, b FROM t WHERE c=? AND d=#;"},
      {"SELECT .5, 5., -7", "SELECT .#, #, -#"},
      {"SELECT \"a 1 'x'\" FROM t", "SELECT \"a 1 'x'\" FROM t"},
      {"SELECT \"a\"\"1\" FROM t", "SELECT \"a\"\"1\" FROM t"},
      {"UPDATE t SET a=$1 WHERE b=2", "UPDATE t SET a=$1 WHERE b=#"},
      {"SELECT 'a\\'", "SELECT ?"},
      {"SELECT '' ", "SELECT ? "},
      {"SELECT a FROM t; \n", "SELECT a FROM t;"},
      {"INSERT INTO t VALUES (1,'x'),(2,'y')", "INSERT INTO t VALUES (#,?),(#,?)"},
      {"SELECT a-1, a - -1, a/2", "SELECT a-#, a - -#, a/#"},
      {"SELECT t1.c2 FROM t1", "SELECT t1.c2 FROM t1"},
      {"SELECT 'a'\n'b'", "SELECT ?\n?"},
  }));
  CAPTURE(row.sql);
  CHECK(Key(row.sql) == row.key);
}

TEST_CASE("what is not plain has no key", "[parser][literal_key]") {
  const auto sql = GENERATE(as<std::string>{}, "", "SELECT", "SELECTED 1", "SET a = 1", " SELECT 1", "WITH a AS (SELECT 1) SELECT 1",
                            "EXPLAIN SELECT 1", "SELECT 1 -- c", "SELECT 1 --1", "SELECT /* c */ 1", "SELECT 1 /* c */", "SELECT E'a'",
                            "SELECT e'a\\''", "SELECT B'1'", "SELECT X'1'", "SELECT N'a'", "SELECT U&'a'",
                            "SELECT U&\"a\"", "SELECT $$a$$", "SELECT $a$x$a$", "SELECT 'a", "SELECT \"a", "SELECT 1; SELECT 2",
                            "SELECT 1;;", "SELECT 0x1F", "SELECT 1_000", "SELECT 1a", "SELECT 1..2", "SELECT 1e", "SELECT 1e+",
                            "SELECT $1a", "SELECT date'2020'", std::string("SELECT \0 1", 10), "SELECT \x01", "SELECT '\x02' \x02",
                            "SELECT \"\x01\" FROM t");
  CAPTURE(sql);
  CHECK(Key(sql) == "-");
}

TEST_CASE("a key needs strings and bytes that are what they seem", "[parser][literal_key]") {
  CHECK(Key("SELECT 'a\\'", {.standard_strings = false}) == "-");
  CHECK(Key("SELECT 'a'", {.standard_strings = false}) == "SELECT ?");
  CHECK(Key("SELECT 'a'", {.ascii_safe_encoding = false}) == "-");
}

}  // namespace waypost
