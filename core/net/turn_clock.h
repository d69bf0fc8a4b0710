// How long the turns of a loop last: what one of them does keeps all that is on the loop waiting. In processor time of its
// thread, so that a busy machine makes none longer. Loop thread only, unless it says otherwise.
#pragma once

#include <atomic>

#include "core/base/time.h"
#include "core/net/loop.h"

namespace waypost {

class TurnClock {
 public:
  explicit TurnClock(Loop& loop);

  // The longest turn that is not forgotten, of those that took a millisecond at least; 0: there was none. Any thread.
  [[nodiscard]] Duration Longest() const;
  // Turns before the last call of this are forgotten.
  void Forget();

 private:
  void OnTurn();
  void Begin(TimePoint now, Duration waited);

  Loop& loop_;
  TimePoint began_{};      // the turn at hand; at first: none
  Duration waited_{0};     // by the loop, until then
  Duration processor_{0};  // of the thread, when it was looked at last
  Duration since_{0};      // turns since then, by the clock on the wall
  std::atomic<Duration::rep> longest_{0}, before_{0};  // since Forget(), and since the one before that
  BeforeWait before_wait_;
};

}  // namespace waypost
