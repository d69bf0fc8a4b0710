// How often log-ins begin, by where they come from. Thread-safe; met once a log-in, and only where that is limited.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/base/time.h"

namespace waypost {

class LoginRates {
 public:
  // So many addresses are remembered. Those beyond are let in: whoever has that many is not stopped by their number.
  static constexpr std::size_t kMaxAddresses = 65'536;

  // One more log-in begins, unless `per_second` (not 0) have in the last second: as a bucket of that many tokens, which fills
  // within a second.
  [[nodiscard]] bool Take(const std::string& address, unsigned per_second, TimePoint now) {
    const std::scoped_lock lock(mutex_);
    auto found = buckets_.find(address);
    if (found == buckets_.end()) {
      if (buckets_.size() >= kMaxAddresses) Forget(now);
      if (buckets_.size() >= kMaxAddresses) return true;
      found = buckets_.emplace(address, Bucket{static_cast<double>(per_second), now}).first;
    }
    auto& [tokens, since] = found->second;
    const double full = per_second;
    if (now > since) {  // workers do not look at the clock at the same time
      tokens = std::min(full, tokens + full * std::chrono::duration<double>(now - since).count());
      since = now;
    }
    if (tokens < 1) return false;
    tokens = std::min(full, tokens) - 1;
    return true;
  }
  [[nodiscard]] std::size_t addresses() const {
    const std::scoped_lock lock(mutex_);
    return buckets_.size();
  }

 private:
  struct Bucket {
    double tokens;
    TimePoint since;
  };
  // Those that are full again; looked for once a second at most, as that takes time.
  void Forget(TimePoint now) {
    if (now < forgot_ + std::chrono::seconds{1}) return;
    forgot_ = now;
    std::erase_if(buckets_, [&](const auto& item) { return now >= item.second.since + std::chrono::seconds{1}; });
  }

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
  TimePoint forgot_{};
};

}  // namespace waypost
