#include "routing/rule_marks.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "parser/sql/explain_text.h"
#include "parser/sql/facts.h"
#include "parser/sql/fingerprint.h"
#include "tests/support/costs.h"

namespace waypost {
namespace {

std::chrono::nanoseconds LeastOf(int runs, const auto& work) {
  auto least = std::chrono::nanoseconds::max();
  for (int run = 0; run < runs; ++run) {
    const auto begin = ThreadTime();
    work();
    least = std::min(least, ThreadTime() - begin);
  }
  return least;
}

}  // namespace

TEST_CASE("rules that ask for no fingerprint do not have a text taken apart", "[routing][rules][costs]") {
  Rule table, function;
  table.tables = {"pay*roll*"};
  function.functions = {"no_such"};
  const RuleSet rules({table, function});
  const auto text = Times(20'000, "SELECT 1;");
  const auto facts = Analyse(text, {});
  REQUIRE(facts->size() == 20'000);
  TextMarks marks;
  const auto marked = LeastOf(3, [&] { MarkText(text, {}, *facts, nullptr, rules, false, marks); });
  const auto split = LeastOf(3, [&] { CHECK(SplitStatements(text).size() == facts->size()); });
  CAPTURE(marked.count(), split.count());
  CHECK(marks.rules == std::vector<RuleMask>(facts->size(), 0));
  CHECK(marked < split / 2);
}

TEST_CASE("a statement goes by its own fingerprint and by that of the whole text", "[routing][rules]") {
  const auto own = GENERATE(true, false);
  const std::string text = "SELECT 1; SELECT a FROM t";
  const auto fingerprint = Fingerprint(own ? "SELECT a FROM t" : text);
  REQUIRE(fingerprint);
  Rule rule;
  rule.name = "r";
  rule.fingerprints = {*fingerprint};
  const RuleSet rules({rule});
  TextMarks marks;
  MarkText(text, {}, *Analyse(text, {}), nullptr, rules, false, marks);
  CHECK(marks.rules == (own ? std::vector<RuleMask>{0, 1} : std::vector<RuleMask>{1, 1}));
}

}  // namespace waypost
