#include "core/session/self_check.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/wire/encode.h"

namespace waypost {
namespace {

using Next = SelfCheck::Next;
using Outcome = SelfCheckOutcome;

constexpr Lsn kBefore{1000};

std::string Row(std::string_view value) {
  std::string out;
  MessageBuilder(out, 'D').U16(1).U32(static_cast<std::uint32_t>(value.size())).Raw(AsBytes(value));
  return out;
}

std::string Answer(std::initializer_list<std::string_view> rows, std::string_view tag = "SELECT") {
  std::string out;
  MessageBuilder(out, 'T').U16(0);
  for (const auto row : rows) out += Row(row);
  AppendCommandComplete(out, tag);
  AppendReadyForQuery(out, 'I');
  return out;
}

// With the replica's answer and a first one of the primary's that differs.
SelfCheck Differing(bool position_only = false) {
  SelfCheck check(1, position_only);
  check.SetBefore(kBefore);
  REQUIRE(check.OnAnswer(Answer({"old"})) == Next::kRunOnPrimary);
  REQUIRE(check.OnAnswer(Answer({"new"})) == Next::kAskPosition);
  return check;
}

}  // namespace

TEST_CASE("answers are alike whatever the order of their rows", "[core][self_check]") {
  CHECK(DigestOf(Answer({"a", "b", "c"})) == DigestOf(Answer({"c", "a", "b"})));
  CHECK(DigestOf(Answer({"a", "b"})) != DigestOf(Answer({"a", "a"})));
  CHECK(DigestOf(Answer({"a"})) != DigestOf(Answer({"a", "a"})));
  CHECK(DigestOf(Answer({"a"}, "SELECT 1")) != DigestOf(Answer({"a"}, "SELECT 2")));
  CHECK(DigestOf(Answer({})) != DigestOf(Answer({""})));
  CHECK(DigestOf(Answer({"a"})).rows == 1);
}

TEST_CASE("a row counts for its own statement", "[core][self_check]") {
  CHECK(DigestOf(Answer({"a"}) + Answer({"b"})) != DigestOf(Answer({"b"}) + Answer({"a"})));
  CHECK(DigestOf(Answer({"a"}) + Answer({})) != DigestOf(Answer({}) + Answer({"a"})));
}

TEST_CASE("notices and ReadyForQuery are not compared", "[core][self_check]") {
  std::string notice;
  MessageBuilder(notice, 'N').Raw(AsBytes(std::string_view("Smine\0\0", 7)));
  CHECK(DigestOf(notice + Answer({"a"})) == DigestOf(Answer({"a"})));
}

TEST_CASE("a digest of what is cut short reads what is there", "[core][self_check]") {
  const auto whole = Answer({"a", "b"});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto digest = DigestOf(std::string_view(whole).substr(0, size));
    CHECK(digest.rows <= 2);
  }
}

TEST_CASE("equal answers are the same at once", "[core][self_check]") {
  SelfCheck check(1, false);
  CHECK_FALSE(check.answered());
  CHECK(check.OnAnswer(Answer({"a", "b"})) == Next::kRunOnPrimary);
  CHECK(check.answered());
  CHECK(check.OnAnswer(Answer({"b", "a"})) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kSame);
  CHECK(check.TakeAnswer() == Answer({"b", "a"}));
}

TEST_CASE("what the primary says again and again while nothing is written makes the other stale", "[core][self_check]") {
  auto check = Differing();
  CHECK(check.OnPosition(PrimaryNow{kBefore, false}, false) == Next::kRunOnPrimary);
  CHECK(check.OnAnswer(Answer({"new"})) == Next::kRunOnPrimary);
  CHECK(check.OnAnswer(Answer({"new"})) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kStale);
  CHECK(check.TakeAnswer() == Answer({"new"}));
}

TEST_CASE("a primary that answers otherwise each time proves nothing", "[core][self_check]") {
  const bool at_once = GENERATE(true, false);
  auto check = Differing();
  CHECK(check.OnPosition(PrimaryNow{kBefore, false}, false) == Next::kRunOnPrimary);
  if (!at_once) CHECK(check.OnAnswer(Answer({"new"})) == Next::kRunOnPrimary);
  CHECK(check.OnAnswer(Answer({"newer"})) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kUnsteady);
  CHECK(check.TakeAnswer() == Answer({"old"}));  // proved; the primary's first may be older
}

TEST_CASE("a statement that asks the clock is not run a third time", "[core][self_check]") {
  auto check = Differing();
  CHECK(check.OnPosition(PrimaryNow{kBefore, false}, true) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kUnsteady);
}

TEST_CASE("while something is written nothing is said", "[core][self_check]") {
  const auto now = GENERATE(PrimaryNow{{1001}, false}, PrimaryNow{kBefore, true});
  const bool position_only = GENERATE(true, false);
  auto check = Differing(position_only);
  CHECK(check.OnPosition(now, false) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kChanged);
  // One that was proved may be newer than the primary's.
  CHECK(check.TakeAnswer() == Answer({position_only ? "new" : "old"}));
}

TEST_CASE("without a position nothing is said", "[core][self_check]") {
  auto check = Differing();
  CHECK(check.OnPosition(std::nullopt, false) == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kFailed);
  SelfCheck unknown(1, false);
  REQUIRE(unknown.OnAnswer(Answer({"a"})) == Next::kRunOnPrimary);
  REQUIRE(unknown.OnAnswer(Answer({"b"})) == Next::kAskPosition);
  CHECK(unknown.OnPosition(PrimaryNow{kBefore, false}, false) == Next::kAnswer);
  CHECK(unknown.outcome() == Outcome::kFailed);
}

TEST_CASE("if the primary fails the replica's answer stands", "[core][self_check]") {
  const auto why = GENERATE(Outcome::kFailed, Outcome::kTooLong);
  SelfCheck check(1, false);
  REQUIRE(check.OnAnswer(Answer({"a"})) == Next::kRunOnPrimary);
  check.Fail(why);
  CHECK(check.OnAnswer("") == Next::kAnswer);
  CHECK(check.outcome() == why);
  CHECK(check.TakeAnswer() == Answer({"a"}));
}

TEST_CASE("if the primary fails later, the answer is what it would be had nothing been found", "[core][self_check]") {
  const bool position_only = GENERATE(true, false);
  auto check = Differing(position_only);
  REQUIRE(check.OnPosition(PrimaryNow{kBefore, false}, false) == Next::kRunOnPrimary);
  check.Fail(Outcome::kFailed);
  CHECK(check.OnAnswer("") == Next::kAnswer);
  CHECK(check.outcome() == Outcome::kFailed);
  CHECK(check.TakeAnswer() == Answer({position_only ? "new" : "old"}));
}

TEST_CASE("an answer can be given at any time once there is one", "[core][self_check]") {
  SelfCheck check(1, true);
  REQUIRE(check.OnAnswer(Answer({"a"})) == Next::kRunOnPrimary);
  CHECK(check.TakeAnswer() == Answer({"a"}));
}

TEST_CASE("what asks the clock or chance is known by its words", "[core][self_check]") {
  const auto sql = GENERATE(as<std::string>{}, "SELECT now()", "SELECT a, RANDOM() FROM t", "SELECT CURRENT_DATE",
                            "SELECT \"now\"()", "SELECT pg_catalog.clock_timestamp()", "SELECT 'NOW'::timestamp",
                            "SELECT date ' yesterday '", "SELECT * FROM t TABLESAMPLE system (1)", "SELECT age(x) FROM t",
                            "SELECT gen_random_uuid()", "SELECT E'today 10:00'::timestamp(0)", "SELECT uuid_generate_v4()");
  CAPTURE(sql);
  CHECK(AsksClockOrChance(sql, {}));
}

TEST_CASE("other words do not ask the clock", "[core][self_check]") {
  const auto sql = GENERATE(as<std::string>{}, "SELECT 1", "SELECT 'unknown'", "SELECT nowhere FROM t -- now()",
                            "SELECT \"now2\" FROM snow", "/* random() */ SELECT 'snow', 'nowadays'", "");
  CAPTURE(sql);
  CHECK_FALSE(AsksClockOrChance(sql, {}));
}

TEST_CASE("of many reads the given share is checked, evenly", "[core][self_check]") {
  const auto [fraction, of_a_thousand] =
      GENERATE(table<double, int>({{0.0, 0}, {0.25, 250}, {0.5, 500}, {0.001, 1}, {1.0, 1000}}));
  CAPTURE(fraction);
  SelfChecks checks;
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += checks.TakesThis(fraction) ? 1 : 0;
  CHECK(taken >= of_a_thousand - 1);
  CHECK(taken <= of_a_thousand);
}

TEST_CASE("a statement is complained of once", "[core][self_check]") {
  SelfChecks checks;
  CHECK(checks.FirstOf("SELECT ?"));
  CHECK(checks.FirstOf("SELECT a"));
  CHECK_FALSE(checks.FirstOf("SELECT ?"));
}

TEST_CASE("what the primary says of its position", "[core][self_check]") {
  const auto row = [](std::initializer_list<std::string_view> values) {
    std::string out;
    MessageBuilder message(out, 'x');
    message.U16(static_cast<std::uint16_t>(values.size()));
    for (const auto value : values) message.U32(static_cast<std::uint32_t>(value.size())).Raw(AsBytes(value));
    return out;
  };
  const auto read = [](const std::string& message) { return ReadPrimaryNow(AsBytes(message).subspan(5)); };
  const auto idle = read(row({"0/1000", "16777216", "0"}));
  REQUIRE(idle);
  CHECK(idle->position == Lsn{0x1000});
  CHECK_FALSE(idle->writing);
  // Behind a page's header no record ends.
  CHECK(read(row({"0/2018", "16777216", "0"}))->position == Lsn{0x2000});
  CHECK(read(row({"0/1000", "16777216", "2"}))->writing);
  CHECK_FALSE(read(row({"0/1000", "16777216"})));
  CHECK_FALSE(read(row({"zero", "16777216", "0"})));
  CHECK_FALSE(read(row({"0/1000", "", "0"})));
  CHECK_FALSE(ReadPrimaryNow({}));
}

}  // namespace waypost
