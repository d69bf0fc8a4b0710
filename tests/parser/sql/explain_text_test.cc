#include "parser/sql/explain_text.h"

#include <array>
#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

std::string Question(std::string_view sql) {
  if (!MayAskForRoute(sql)) return "-";
  return std::string(RouteQuestionIn(sql, {}).value_or("-"));
}

std::string Query(const std::vector<std::vector<RouteCell>>& rows, unsigned parameters = 0, Lexing lexing = {}) {
  static constexpr std::array<std::string_view, 2> kColumns = {"a", "b"};
  return RouteAnswerQuery(kColumns, rows, parameters, lexing);
}

}  // namespace

TEST_CASE("EXPLAIN ROUTE is found however it is written, and nothing else is", "[parser][explain_text]") {
  const auto [sql, question] = GENERATE(table<std::string, std::string>({
      {"EXPLAIN ROUTE SELECT 1", "SELECT 1"},
      {"explain\troute\nselect 1; select 2 ;", "select 1; select 2 ;"},
      {" /* x */ Explain -- y\n Route(select 1)", "(select 1)"},
      {"EXPLAIN ROUTE", "-"},
      {"EXPLAIN ROUTE ;", "-"},
      {"EXPLAIN ROUTES SELECT 1", "-"},
      {"EXPLAIN SELECT 1", "-"},
      {"EXPLAIN \"ROUTE\" SELECT 1", "-"},
      {"EXPLAINROUTE SELECT 1", "-"},
      {"SELECT 1", "-"},
      {"execute route", "-"},
      {"", "-"},
      {"/* only", "-"},
  }));
  CAPTURE(sql);
  CHECK(Question(sql) == question);
}

TEST_CASE("EXPLAIN ROUTE is not looked for behind blanks and comments without an end", "[parser][explain_text]") {
  const std::string piece = GENERATE("--\n", " /**/");
  std::string front;
  while (front.size() < 1'000) front += piece;
  CHECK(Question(front + "EXPLAIN ROUTE SELECT 1") == "SELECT 1");
  while (front.size() < 2 * kMaxRouteQuestionBytes) front += piece;
  CHECK(Question(front + "EXPLAIN ROUTE SELECT 1") == "-");
}

TEST_CASE("statements are told apart by the grammar", "[parser][explain_text]") {
  using Parts = std::vector<std::string_view>;
  CHECK(SplitStatements("select ';' ; insert into t values (1);") == Parts{"select ';'", "insert into t values (1)"});
  CHECK(SplitStatements("selec 1; x ") == Parts{"selec 1; x"});
  CHECK(SplitStatements("").empty());
}

TEST_CASE("the answer is one query whose literals mean what they say", "[parser][explain_text]") {
  CHECK(Query({{{"x"}, {""}}}) == "SELECT * FROM (VALUES ('x', NULL)) AS route(\"a\", \"b\")");
  CHECK(Query({{{"it's"}, {"y"}}, {{"("}, {")"}}}) == "SELECT * FROM (VALUES ('it''s', 'y'), ('(', ')')) AS route(\"a\", \"b\")");
  CHECK(Query({{{"a\\'b", true}, {"c"}}}).find("(E'a\\\\''b', 'c')") != std::string::npos);
  CHECK(Query({{{"\xc3\xa9", true}, {"\xc3\xa9\xff"}}}).find("('\xc3\xa9', E'\\U000000E9\\U0000003F')") != std::string::npos);
  Lexing sjis;
  sjis.ascii_safe_encoding = false;
  CHECK(Query({{{"\x83\x5c", true}, {"c"}}}, 0, sjis).find("(E'?\\\\', 'c')") != std::string::npos);
  CHECK(Query({{{"x"}, {"y"}}}, 2).ends_with(" WHERE true OR ($1::pg_catalog.text IS NULL OR $2::pg_catalog.text IS NULL)"));
}

}  // namespace waypost
