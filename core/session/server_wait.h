// How the batch at hand waits for a server connection. However it ends (served, refused, cancelled, too late, the client gone),
// nothing is left of it: of the three states there is one, and one way out of each. Worker thread only; its session's.
//
//   state      what is waited for                 ends with
//   kNone      nothing
//   kPool      a connection of pool()             Answered(), once the pool has called the waiter; Leave(), before it has
//   kPrimary   a primary: there is none to ask    Leave(); whoever looks tries again, see TakeTry()
#pragma once

#include <cstdint>
#include <utility>

#include "core/base/time.h"
#include "core/server/pool.h"

namespace waypost {

class ServerWait {
 public:
  // A view that is missed is made up for by trying again this often.
  static constexpr milliseconds kTryAgain{500};

  // `waiter` is the one that pools call; it outlives this.
  explicit ServerWait(Waiter& waiter) : waiter_(waiter) {}

  // `pool` is asked next. It was left before, or never waited for.
  void InPool(Pool& pool) {
    state_ = State::kPool;
    pool_ = &pool;
  }
  void ForPrimary(TimePoint now) {
    Leave();
    state_ = State::kPrimary;
    tried_ = now;
  }
  // The pool has said what comes of it, and knows the waiter no more.
  void Answered() {
    state_ = State::kNone;
    pool_ = nullptr;
  }
  // Nothing is waited for any more, whatever it was; the pool will not call.
  void Leave() {
    auto* pool = pool_;
    Answered();
    if (pool != nullptr) pool->Forget(waiter_);
  }

  [[nodiscard]] bool waits() const { return state_ != State::kNone; }
  [[nodiscard]] bool for_primary() const { return state_ == State::kPrimary; }
  // nullptr: it waits in none.
  [[nodiscard]] Pool* pool() const { return pool_; }
  // True once each time it has waited for a primary for so long that it should be looked for again.
  [[nodiscard]] bool TakeTry(TimePoint now) {
    if (!for_primary() || now - tried_ <= kTryAgain) return false;
    tried_ = now;
    return true;
  }

 private:
  enum class State : std::uint8_t { kNone, kPool, kPrimary };

  Waiter& waiter_;
  State state_ = State::kNone;
  Pool* pool_ = nullptr;  // set in kPool only
  TimePoint tried_{};     // in kPrimary
};

}  // namespace waypost
