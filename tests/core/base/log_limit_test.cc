#include "core/base/log_limit.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

using namespace waypost;

namespace {

constexpr TimePoint kStart{milliseconds(1'000'000)};

unsigned Written(LogLimit& limit, LogLevel level, const std::string& event, unsigned lines, TimePoint now) {
  unsigned written = 0;
  for (unsigned i = 0; i < lines; ++i) written += limit.Admit(level, event, now) ? 1 : 0;
  return written;
}

}  // namespace

TEST_CASE("a log takes so many lines of an event, then counts them", "[core][log]") {
  LogLimit limit;
  CHECK(Written(limit, LogLevel::kWarn, "accept_failed", 80'000, kStart) == kLinesPerWindow);
  CHECK_FALSE(limit.Admit(LogLevel::kWarn, "accept_failed", kStart + kLogWindow - milliseconds(1)));
  SECTION("the first line of the next window comes with the count, once") {
    CHECK(limit.Admit(LogLevel::kWarn, "accept_failed", kStart + kLogWindow) == 80'000 - kLinesPerWindow + 1);
    CHECK(limit.Admit(LogLevel::kWarn, "accept_failed", kStart + kLogWindow) == 0);
    CHECK(limit.TakeLeftOut(kStart + 3 * kLogWindow).empty());
  }
  SECTION("the count is told although no line comes any more, once") {
    CHECK(limit.TakeLeftOut(kStart + kLogWindow - milliseconds(1)).empty());
    const auto left_out = limit.TakeLeftOut(kStart + kLogWindow);
    REQUIRE(left_out.size() == 1);
    CHECK(left_out[0].event == "accept_failed");
    CHECK(left_out[0].level == LogLevel::kWarn);
    CHECK(left_out[0].lines == 80'000 - kLinesPerWindow + 1);
    CHECK(limit.TakeLeftOut(kStart + 2 * kLogWindow).empty());
    CHECK(limit.Admit(LogLevel::kWarn, "accept_failed", kStart + 2 * kLogWindow) == 0);
  }
}

TEST_CASE("a flood of one event takes no line of another", "[core][log]") {
  LogLimit limit;
  CHECK(Written(limit, LogLevel::kInfo, "client_refused", 1'000, kStart) == kLinesPerWindow);
  CHECK(limit.Admit(LogLevel::kInfo, "reloaded", kStart) == 0);
  CHECK(limit.Admit(LogLevel::kError, "client_refused", kStart) == 0);
}

TEST_CASE("what comes slowly is written in full", "[core][log]") {
  LogLimit limit;
  for (unsigned i = 0; i < 10 * kLinesPerWindow; ++i)
    REQUIRE(limit.Admit(LogLevel::kInfo, "reloaded", kStart + i * kLogWindow / kLinesPerWindow) == 0);
}

TEST_CASE("debug lines are limited too, later", "[core][log]") {
  LogLimit limit;
  CHECK(Written(limit, LogLevel::kDebug, "client", 100'000, kStart) == kDebugLinesPerWindow);
}

TEST_CASE("made-up events share a limit in the end", "[core][log]") {
  LogLimit limit;
  unsigned written = 0;
  for (unsigned i = 0; i < 100'000; ++i) written += Written(limit, LogLevel::kInfo, "e" + std::to_string(i), 1, kStart);
  CHECK(written < 2'000);
}

TEST_CASE("lines of several threads are counted as one flood", "[core][log]") {
  LogLimit limit;
  std::vector<unsigned> written(4);
  std::vector<std::thread> threads;
  for (auto& count : written)
    threads.emplace_back([&] { count = Written(limit, LogLevel::kWarn, "accept_failed", 1'000, kStart); });
  for (auto& thread : threads) thread.join();
  CHECK(written[0] + written[1] + written[2] + written[3] == kLinesPerWindow);
  CHECK(limit.Admit(LogLevel::kWarn, "accept_failed", kStart + kLogWindow) == 4'000 - kLinesPerWindow);
}
