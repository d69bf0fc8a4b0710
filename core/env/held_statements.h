// The statements that wait because there is no primary: how many may, over all workers, and for how long each.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "core/base/time.h"
#include "core/config/config.h"

namespace waypost {

// Thread-safe.
class HeldStatements {
 public:
  // False if that would be too many, or too many bytes.
  [[nodiscard]] bool Take(std::uint64_t bytes, const ClusterConfig& limits) {
    const auto others = count_.fetch_add(1, std::memory_order_relaxed);
    const auto their_bytes = bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (others < limits.max_held && their_bytes + bytes <= limits.max_held_bytes) return true;
    Give(bytes);
    return false;
  }
  void Give(std::uint64_t bytes) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> count_{0}, bytes_{0};
};

// One of them, from the moment that it finds no primary until it is served or given up, however often it tries meanwhile. One
// thread only.
class Hold {
 public:
  Hold() = default;
  ~Hold() { End(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  // Begins, unless it has begun. False: as many are held as may be.
  [[nodiscard]] bool Begin(HeldStatements& all, std::uint64_t bytes, const ClusterConfig& limits, TimePoint now) {
    if (all_ != nullptr) return true;
    if (!all.Take(bytes, limits)) return false;
    all_ = &all;
    bytes_ = bytes;
    until_ = now + limits.failover_hold;
    return true;
  }
  // It may last that long from now on, again.
  void Renew(const ClusterConfig& limits, TimePoint now) { until_ = now + limits.failover_hold; }
  void End() {
    if (auto* all = std::exchange(all_, nullptr)) all->Give(bytes_);
  }
  [[nodiscard]] bool held() const { return all_ != nullptr; }
  [[nodiscard]] bool TooLong(TimePoint now) const { return held() && now >= until_; }

 private:
  HeldStatements* all_ = nullptr;
  std::uint64_t bytes_ = 0;
  TimePoint until_{};
};

}  // namespace waypost
