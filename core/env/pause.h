// The operator's pause: statements that begin meanwhile are held, and go on when it ends. Thread-safe, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/base/time.h"

namespace waypost {

enum class PauseScope : std::uint8_t {
  kNone,
  kWrites,  // whatever runs on the primary, but for single reads
  kAll,
};

class Pause {
 public:
  // Until `until`, when it ends by itself.
  void Begin(PauseScope scope, TimePoint until) {
    until_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    scope_.store(scope, std::memory_order_release);
  }
  void End() { scope_.store(PauseScope::kNone, std::memory_order_release); }
  [[nodiscard]] PauseScope At(TimePoint now) const {
    const auto scope = scope_.load(std::memory_order_acquire);
    if (scope == PauseScope::kNone) return scope;
    return now.time_since_epoch().count() < until_.load(std::memory_order_relaxed) ? scope : PauseScope::kNone;
  }

 private:
  std::atomic<PauseScope> scope_{PauseScope::kNone};
  std::atomic<Duration::rep> until_{0};
};

}  // namespace waypost
