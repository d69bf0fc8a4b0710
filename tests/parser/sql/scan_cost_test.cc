#include "parser/sql/scan_cost.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/sql/facts.h"
#include "parser/sql/fingerprint.h"
#include "tests/support/costs.h"

using namespace waypost;

TEST_CASE("what people write is scanned in time", "[parser][scan]") {
  const auto banner = GENERATE(as<std::string>(), "/" + Times(78, "*") + "\n * a table\n " + Times(78, "*") + "/\n",
                               Times(80, "-") + "\n", "/* " + Times(78, "=") + " */\n", "SELECT '" + Times(60, "+") + "';\n",
                               "/**/", "a->>'b' <> c || d @> e ", "SELECT 1 /* " + Times(5, "/* */") + " */;");
  CAPTURE(banner);
  CHECK(ScansInTime(Times(300, banner + "SELECT 1;\n")));
}

TEST_CASE("a text that the scanner reads again and again is not given to it", "[parser][scan]") {
  const auto text = GENERATE(as<std::string>(), Times(5'000, "/*") + Times(5'000, "*/"), Times(10'000, "/**/") + "SELECT 1",
                             "SELECT 1 " + Times(5'000, "+") + " 1", "SELECT 1 " + Times(5'000, "+-") + " 1",
                             "SELECT 1 /* " + Times(20'000, "/*"), Times(100, "SELECT " + Times(500, "@-") + "1;"));
  CHECK_FALSE(ScansInTime(text));
  const auto facts = Analyse(text, {});
  REQUIRE(facts->size() == 1);
  CHECK(facts->front().kind == StatementKind::kUnknown);
  CHECK(facts->front().form_reason == Reason::kTooLarge);
}

TEST_CASE("the cost of analysing a text grows with its length", "[parser][scan][costs]") {
  const auto kind = GENERATE(as<std::string>(), "/*", "*/", "/**/", "+", "+-", "@-", "--\n", "$a", "$a$", "$a$b$a$||", "'", "\"",
                             "(", "[", ";", ".a", "1.", "'a'\n", "U&'\\0061'", "E'\\n'", "::int", " not", "/", "*", "begin;");
  CAPTURE(kind);
  const auto costs = CostsOf(10'000, [&](std::size_t n) {
    const auto text = "select 1 " + Times(n / kind.size(), kind);
    (void)Analyse(text, {});
    (void)Fingerprint(text);
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}
