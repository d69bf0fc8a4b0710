// What the workers share: limits that are global, and who waits longest for them. Thread-safe, lock-free.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/time.h"
#include "core/config.h"
#include "core/credentials.h"
#include "metrics/labels.h"
#include "routing/cluster_view.h"

namespace waypost {

class Worker;

// The connections to one server, over all workers. `waiting_since` tells each worker how long the others have waited, so
// that none starves.
class ServerBudget {
 public:
  static constexpr std::size_t kMaxWorkers = 64;

  ServerBudget() {
    for (auto& since : oldest_) since.store(kNobody, std::memory_order_relaxed);
  }

  // One more connection, if there are fewer than `limit`.
  [[nodiscard]] bool Take(unsigned limit) {
    auto used = used_.load(std::memory_order_relaxed);
    do {
      if (used >= limit) return false;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel));
    return true;
  }
  void Give() { used_.fetch_sub(1, std::memory_order_acq_rel); }
  [[nodiscard]] unsigned used() const { return used_.load(std::memory_order_relaxed); }

  // The oldest waiter of `worker`; nothing: nobody waits there.
  void SetOldest(std::size_t worker, std::optional<TimePoint> since) {
    oldest_[worker].store(since ? since->time_since_epoch().count() : kNobody, std::memory_order_release);
  }
  // The oldest waiter of all workers but `worker`, and in `who` whose it is.
  [[nodiscard]] std::optional<TimePoint> OldestElsewhere(std::size_t worker, std::size_t& who) const {
    auto oldest = kNobody;
    for (std::size_t i = 0; i < kMaxWorkers; ++i) {
      if (i == worker) continue;
      const auto since = oldest_[i].load(std::memory_order_acquire);
      if (since >= oldest) continue;
      oldest = since;
      who = i;
    }
    if (oldest == kNobody) return std::nullopt;
    return TimePoint(Duration(oldest));
  }

 private:
  static constexpr auto kNobody = std::numeric_limits<Duration::rep>::max();
  std::atomic<unsigned> used_{0};
  std::array<std::atomic<Duration::rep>, kMaxWorkers> oldest_;
};

// Clients counted, in all and by user. Met at login and at the end of a session alone.
class ClientCount {
 public:
  // One more client of `user`, unless there are `limit` in all or `user_limit` (0: none) of that user.
  [[nodiscard]] bool Take(const std::string& user, unsigned limit, unsigned user_limit) {
    const std::scoped_lock lock(mutex_);
    auto& of_user = by_user_[user];
    if (total_ >= limit || (user_limit > 0 && of_user >= user_limit)) return false;
    ++total_;
    ++of_user;
    return true;
  }
  void Give(const std::string& user) {
    const std::scoped_lock lock(mutex_);
    --total_;
    const auto found = by_user_.find(user);
    if (found != by_user_.end() && --found->second == 0) by_user_.erase(found);
  }

 private:
  std::mutex mutex_;
  unsigned total_ = 0;
  std::unordered_map<std::string, unsigned> by_user_;
};

struct Shared {
  std::array<ServerBudget, kMaxServers> budgets;
  ClientCount clients;
  Credentials credentials;
  // When a statement that may write was last sent or answered, in any worker.
  std::atomic<Duration::rep> last_write{0};
  std::vector<Worker*> workers;  // filled before any of them runs
  // Ask the control plane; any thread.
  std::function<void()> probe_now;
  std::function<void(const std::string& database)> want_catalog;    // load it, if it is not there yet
  std::function<void(const std::string& database)> catalog_changed;  // DDL passed through
};

}  // namespace waypost
