#include "core/net/turn_clock.h"

#include <uv.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "core/base/check.h"

namespace waypost {
namespace {

// To ask for the processor time costs half a microsecond, and a turn may take ten: it is asked for once in so much work.
constexpr Duration kWorthALook = milliseconds{1};

Duration ProcessorTime() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

}  // namespace

TurnClock::TurnClock(Loop& loop) : loop_(loop), before_wait_(loop, [this] { OnTurn(); }) {
  WAYPOST_CHECK(uv_loop_configure(loop.raw(), UV_METRICS_IDLE_TIME) == 0);
}

Duration TurnClock::Longest() const {
  return Duration(std::max(longest_.load(std::memory_order_relaxed), before_.load(std::memory_order_relaxed)));
}

void TurnClock::Forget() { before_.store(longest_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed); }

void TurnClock::Begin(TimePoint now, Duration waited) {
  began_ = now;
  waited_ = waited;
}

void TurnClock::OnTurn() {
  const auto now = Clock::now();
  const Duration waited = std::chrono::nanoseconds(uv_metrics_idle_time(loop_.raw()));
  if (began_ == TimePoint{}) {
    processor_ = ProcessorTime();
    return Begin(now, waited);
  }
  const auto took = now - began_ - (waited - waited_);
  Begin(now, waited);
  if (took < kWorthALook && since_ + took < kWorthALook) {
    since_ += took;
    return;
  }
  const auto processor = ProcessorTime();
  // Those before it took no more than the wall says.
  const auto mine = processor - std::exchange(processor_, processor) - std::exchange(since_, Duration{0});
  if (took >= kWorthALook && mine >= kWorthALook && mine.count() > longest_.load(std::memory_order_relaxed))
    longest_.store(mine.count(), std::memory_order_relaxed);
}

}  // namespace waypost
