#include "core/observe/query_log.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>

using namespace waypost;

namespace {

using Which = QueryLogConfig::Which;
constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();

QueryLog Made(QueryLogConfig config) {
  QueryLog log;
  log.Configure(config);
  return log;
}

}  // namespace

TEST_CASE("the log of queries is off unless it is asked for", "[core][query_log]") {
  CHECK_FALSE(QueryLog().on());
  CHECK_FALSE(Made({}).on());
  CHECK(Made({.which = Which::kSlow}).on());
}

TEST_CASE("slow statements are logged, and no others", "[core][query_log]") {
  const auto log = Made({.which = Which::kSlow, .slow = milliseconds(500), .sample = 1.0});
  CHECK(log.Wants(milliseconds(500), kMost));
  CHECK_FALSE(log.Wants(milliseconds(500) - Duration(1), 0));
}

TEST_CASE("a sample is drawn of those that are not slow", "[core][query_log]") {
  const auto log = Made({.which = Which::kSampled, .slow = milliseconds(500), .sample = 0.25});
  CHECK(log.Wants(milliseconds(500), kMost));
  CHECK(log.Wants({}, kMost / 4));
  CHECK_FALSE(log.Wants({}, kMost / 4 + 1));
  CHECK(Made({.which = Which::kSampled, .sample = 1.0}).Wants({}, kMost));
  CHECK_FALSE(Made({.which = Which::kSampled, .sample = 0.0}).Wants({}, 0));
}

TEST_CASE("all statements are logged if that is asked for", "[core][query_log]") {
  CHECK(Made({.which = Which::kAll, .slow = milliseconds(500)}).Wants({}, kMost));
}
