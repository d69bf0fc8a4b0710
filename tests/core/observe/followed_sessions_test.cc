#include "core/observe/followed_sessions.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

using std::chrono::seconds;

FollowedStatement Statement(const std::string& text) {
  FollowedStatement statement;
  statement.text = text;
  return statement;
}

constexpr TimePoint kNow{};

}  // namespace

TEST_CASE("a session is followed for its time, and told for a while after", "[core][observe][followed]") {
  FollowedSessions followed;
  CHECK_FALSE(followed.any());
  REQUIRE(followed.Begin(7, kNow, kNow + seconds{30}));
  CHECK(followed.any());
  CHECK(followed.Follows(7, kNow + seconds{29}));
  CHECK_FALSE(followed.Follows(7, kNow + seconds{30}));
  CHECK_FALSE(followed.Follows(8, kNow));
  followed.Add(7, Statement("a"));
  followed.Add(7, Statement("b"));
  followed.Add(8, Statement("nobody asked"));
  auto report = followed.After(7, 0, 100, kNow);
  REQUIRE(report);
  CHECK(report->active);
  CHECK(report->last == 2);
  REQUIRE(report->statements.size() == 2);
  CHECK(report->statements[0].text == "a");
  report = followed.After(7, 1, 100, kNow + seconds{31});
  CHECK_FALSE(report->active);
  CHECK(report->statements.size() == 1);
  CHECK(followed.After(7, 0, 1, kNow)->statements.size() == 1);
  CHECK_FALSE(followed.After(8, 0, 100, kNow));
  followed.Tidy(kNow + seconds{89});
  CHECK(followed.After(7, 0, 100, kNow));
  followed.Tidy(kNow + seconds{91});
  CHECK_FALSE(followed.After(7, 0, 100, kNow));
  CHECK_FALSE(followed.any());
}

TEST_CASE("its end, or the operator's, ends it", "[core][observe][followed]") {
  FollowedSessions followed;
  REQUIRE(followed.Begin(7, kNow, kNow + seconds{30}));
  followed.SessionEnded(7, kNow + seconds{1});
  CHECK_FALSE(followed.Follows(7, kNow + seconds{1}));
  CHECK_FALSE(followed.After(7, 0, 1, kNow + seconds{1})->active);
  CHECK(followed.End(7));
  CHECK_FALSE(followed.End(7));
}

TEST_CASE("what is kept is bounded, and what is missing is counted", "[core][observe][followed]") {
  FollowedSessions followed;
  for (std::uint64_t i = 0; i < FollowedSessions::kMaxSessions; ++i) REQUIRE(followed.Begin(i, kNow, kNow + seconds{30}));
  CHECK_FALSE(followed.Begin(99, kNow, kNow + seconds{30}));
  CHECK(followed.Begin(3, kNow, kNow + seconds{60}));
  for (std::size_t i = 0; i < FollowedSessions::kMaxStatements + 5; ++i) followed.Add(3, Statement("x"));
  const auto report = followed.After(3, 2, 100'000, kNow);
  CHECK(report->statements.size() == FollowedSessions::kMaxStatements);
  CHECK(report->lost == 3);
  CHECK(report->last == FollowedSessions::kMaxStatements + 5);
  CHECK(followed.Begin(99, kNow + seconds{121}, kNow + seconds{130}));  // those before are over
}

}  // namespace waypost
