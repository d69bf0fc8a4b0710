#include "parser/sql/literal_key.h"

#include <cstdint>
#include <string>
#include <vector>

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
      {"SELECT .5, 5., -7", "SELECT #, #, -#"},
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
  const auto sql = GENERATE(
      as<std::string>{}, "", "SELECT", "SELECTED 1", "SET a = 1", " SELECT 1", "WITH a AS (SELECT 1) SELECT 1",
      "EXPLAIN SELECT 1", "SELECT 1 -- c", "SELECT 1 --1", "SELECT /* c */ 1", "SELECT 1 /* c */", "SELECT E'a'",
      "SELECT e'a\\''", "SELECT B'1'", "SELECT X'1'", "SELECT N'a'", "SELECT U&'a'", "SELECT U&\"a\"", "SELECT $$a$$",
      "SELECT $a$x$a$", "SELECT 'a", "SELECT \"a", "SELECT 1; SELECT 2", "SELECT 1;;", "SELECT 0x1F", "SELECT 1_000", "SELECT 1a",
      "SELECT 1..2", "SELECT .1.", "SELECT .1.2", "SELECT 1e", "SELECT 1e+", "SELECT $1a", "SELECT date'2020'",
      std::string("SELECT \0 1", 10), "SELECT \x01", "SELECT '\x02' \x02", "SELECT \"\x01\" FROM t");
  CAPTURE(sql);
  CHECK(Key(sql) == "-");
}

TEST_CASE("a key needs strings and bytes that are what they seem", "[parser][literal_key]") {
  CHECK(Key("SELECT 'a\\'", {.standard_strings = false}) == "-");
  CHECK(Key("SELECT 'a'", {.standard_strings = false}) == "SELECT ?");
  CHECK(Key("SELECT 'a'", {.ascii_safe_encoding = false}) == "-");
}

TEST_CASE("texts of one key have the same facts when these say that literals do not matter", "[parser][literal_key]") {
  const std::vector<std::string> words = {"#",
                                          "#",
                                          "?",
                                          "?",
                                          "a",
                                          "t",
                                          ",",
                                          "(",
                                          ")",
                                          "=",
                                          "-",
                                          "+",
                                          "FROM",
                                          "WHERE",
                                          "AND",
                                          "IN",
                                          "LIMIT",
                                          "::",
                                          ".",
                                          "date",
                                          "f",
                                          "AS",
                                          "BETWEEN",
                                          "LIKE",
                                          "\n",
                                          "$1",
                                          "interval",
                                          "ORDER BY",
                                          "UNION SELECT",
                                          "CASE",
                                          "set_config"};
  const std::vector<std::string> numbers = {"0", "1", "42", "99999999999", "1.5", "1.", "2e10", "3.0E-2"};
  const std::vector<std::string> strings = {"''", "'a'", "'it''s'", "'1'", "'--'", "'/*'", "'a.b'", "'\\'", "';'", "'\"'"};
  std::uint64_t state = 88172645463325252ULL;
  const auto next = [&state](std::size_t below) {  // xorshift: the same run every time
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<std::size_t>(state % below);
  };
  int compared = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string one = "SELECT ";
    std::string two = one;
    for (std::size_t n = 1 + next(8); n > 0; --n) {
      const std::string& word = words[next(words.size())];
      const std::vector<std::string> same{word};
      const auto& choices = word == "#" ? numbers : word == "?" ? strings : same;
      one += choices[next(choices.size())];
      two += choices[next(choices.size())];
      if (next(3) != 0) one += ' ', two += ' ';
    }
    const std::string key = Key(one);
    if (key == "-" || key != Key(two)) continue;
    const Facts a = Analyse(one, Lexing{})->front();
    if (a.literals_matter) continue;
    const Facts b = Analyse(two, Lexing{})->front();
    CAPTURE(one, two);
    REQUIRE(a.kind == b.kind);
    REQUIRE(a.names == b.names);
    REQUIRE(a.writes_by_form == b.writes_by_form);
    REQUIRE_FALSE(b.literals_matter);
    ++compared;
  }
  CHECK(compared > 1000);
}

}  // namespace waypost
