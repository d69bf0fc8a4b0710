// Sessions that an operator follows for a while: each of their statements, without its literals, and what it waited for. Bounded: a few
// sessions, and of each the newest statements. Thread-safe; while nobody follows any, a statement pays one load of an atomic.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace waypost {

// One batch: from its last byte received to its answer sent.
struct FollowedStatement {
  std::uint64_t id = 0;  // from 1, in the order of their ends
  std::chrono::system_clock::time_point began{};
  Duration took{}, pool{}, fence{}, server{};  // in all; waiting for a connection or a primary, for proof, for the server
  std::string text;  // of its first statement; at most FollowedSessions::kMaxTextBytes and three dots
  std::string server_name, target, reason, pin, sqlstate;  // "": none
  std::uint64_t rows = 0, bytes = 0, statements = 0;
};

class FollowedSessions {
 public:
  static constexpr std::size_t kMaxSessions = 8;
  static constexpr std::size_t kMaxStatements = 1000;  // of one session; older ones make room
  static constexpr std::size_t kMaxTextBytes = 1024;
  static constexpr std::chrono::seconds kKept{60};  // what was told, after its end

  struct Report {
    TimePoint until{};
    bool active = false;  // more may come
    std::uint64_t last = 0, lost = 0;  // the newest id; statements that made room before they were asked for
    std::vector<FollowedStatement> statements;
  };

  // Sessions by their number. Again for one that is followed: until then instead. False: too many are.
  [[nodiscard]] bool Begin(std::uint64_t session, TimePoint now, TimePoint until);
  // The operator has seen enough. False: it was not followed.
  bool End(std::uint64_t session);

  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool Follows(std::uint64_t session, TimePoint now);
  void Add(std::uint64_t session, FollowedStatement statement);
  void SessionEnded(std::uint64_t session, TimePoint now);

  // Those behind the id `since`, at most `limit`. Nothing: it is not followed, and was not lately.
  [[nodiscard]] std::optional<Report> After(std::uint64_t session, std::uint64_t since, std::size_t limit, TimePoint now);
  // Forgets what is over.
  void Tidy(TimePoint now);

 private:
  struct Followed {
    TimePoint until{};
    std::uint64_t last = 0;
    std::deque<FollowedStatement> statements;
  };
  void TidyLocked(TimePoint now);

  std::mutex mutex_;
  std::map<std::uint64_t, Followed> followed_;
  std::atomic<bool> any_{false};
};

}  // namespace waypost
