#include "core/net/turn_clock.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>
#include <functional>
#include <thread>

namespace waypost {
namespace {

Duration Spent() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

void Work(milliseconds time) {
  const auto end = Spent() + time;
  while (Spent() < end) continue;
}

// The longest turn of a loop that has nothing else to do.
Duration LongestWhen(const std::function<void()>& work) {
  Loop loop;
  TurnClock turns(loop);
  int left = 3;
  Timer timer(loop, [&] {
    work();
    if (--left == 0) loop.Stop();
  });
  timer.Start(milliseconds{1}, milliseconds{1});
  loop.Run();
  return turns.Longest();
}

}  // namespace

TEST_CASE("a turn is as long as its work", "[core][net]") {
  const auto longest = LongestWhen([] { Work(milliseconds{20}); });
  CHECK(longest >= milliseconds{19});
  CHECK(longest < milliseconds{40});
}

TEST_CASE("a turn that waits is no long one", "[core][net]") {
  CHECK(LongestWhen([] { std::this_thread::sleep_for(milliseconds{20}); }) < milliseconds{10});
}

TEST_CASE("a long turn is forgotten at the second call", "[core][net]") {
  Loop loop;
  TurnClock turns(loop);
  int left = 3;
  Timer timer(loop, [&] {
    Work(milliseconds{5});
    if (--left == 0) loop.Stop();
  });
  timer.Start(milliseconds{1}, milliseconds{1});
  loop.Run();
  turns.Forget();
  CHECK(turns.Longest() >= milliseconds{4});
  turns.Forget();
  CHECK(turns.Longest() == Duration{0});
}

TEST_CASE("many short turns are no long one", "[core][net]") {
  CHECK(LongestWhen([] { Work(milliseconds{0}); }) == Duration{0});
}

}  // namespace waypost
