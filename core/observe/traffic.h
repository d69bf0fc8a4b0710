// What the clients of each database sent and got, as PgBouncer counts it for SHOW STATS. One table a worker, its thread only; whoever
// asks gets a copy. Counting costs some additions in memory that is this worker's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/time.h"

namespace waypost {

struct TrafficCounts {
  std::uint64_t assignments = 0;  // of a server connection to a session
  std::uint64_t transactions = 0;
  std::uint64_t batches = 0;  // that a server has answered
  std::uint64_t received = 0, sent = 0;  // bytes, from and to clients
  std::uint64_t parses = 0, binds = 0;  // Parse and Bind of clients
  std::uint64_t server_parses = 0;  // Parse to servers
  Duration transaction_time{};  // from the first batch of each received to its end
  Duration batch_time{};  // from the batch received to its answer
  Duration wait_time{};  // for server connections

  void Add(const TrafficCounts& other);
  [[nodiscard]] TrafficCounts Since(const TrafficCounts& before) const;
};

inline constexpr milliseconds kTrafficPeriod{60'000};

struct DatabaseTraffic {
  TrafficCounts total;  // since Waypost started
  TrafficCounts last;  // in the last whole period,
  Duration period{};  // which was so long; 0: there was none yet

  void Add(const DatabaseTraffic& other);
};

struct TrafficReport {
  std::map<std::string, DatabaseTraffic> databases;
  unsigned workers_missing = 0;

  void Add(const TrafficReport& other);
};

class Traffic {
 public:
  // Those of one database; stay where they are as long as this lives.
  [[nodiscard]] TrafficCounts& Of(const std::string& database) { return databases_[database].now.total; }
  // From time to time: a period may have ended.
  void Turn(TimePoint now);
  [[nodiscard]] TrafficReport Report() const;

 private:
  struct Kept {
    DatabaseTraffic now;
    TrafficCounts began;  // as the period began
  };
  std::map<std::string, Kept> databases_;
  TimePoint period_began_{};
};

}  // namespace waypost
