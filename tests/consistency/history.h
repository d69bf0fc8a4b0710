// What a read must see: the values that writers were told had succeeded, and those that readers
// saw. Checks each read as it ends, so that a history of any length needs no memory. Any thread; a
// read is between its Begin() and its End().
//
// No clock decides: Begin() loads what was acknowledged or seen before it, with sequential
// consistency, and the caller sends the query after it. What Begin() found is therefore surely
// earlier than the read. Times are only for the reports.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace consistency {

using Clock = std::chrono::steady_clock;

enum class Fault : std::uint8_t {
  kStale,            // misses what was acknowledged before it began
  kBackward,         // of these, those that miss what a finished read had seen
  kReplicaBackward,  // a replica misses what a finished read saw, not yet acknowledged then
  kUnackedBackward,  // the primary does: a replica shows a commit before the primary does
  kOrder,            // two reads of one list are no prefixes of each other
  kPhantom,          // an append that failed is in the list
  kUnrepeatable,     // a REPEATABLE READ block saw two states
  kTorn,             // one snapshot, but the balances do not add up
  kMissing,          // a table or column created before does not exist
  kCount,
};
std::string_view Name(Fault fault);

// Which server answered: 0 the primary, 1.. the replicas, kUnknownServer.
using Server = std::uint8_t;
constexpr Server kPrimary = 0;
constexpr Server kUnknownServer = 7;

// Counts faults and keeps the words of the first few of each.
class Findings {
 public:
  void Add(Fault fault, const std::string& what);
  [[nodiscard]] std::uint64_t Count(Fault fault) const;
  [[nodiscard]] std::vector<std::string> Samples() const;

 private:
  static constexpr std::uint64_t kSamplesOfEach = 8;
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Fault::kCount)> counts_{};
  mutable std::mutex mutex_;
  std::vector<std::string> samples_;
};

// A row whose one writer counts it up.
class Register {
 public:
  struct Before {
    std::int64_t acknowledged = 0, seen = 0;
    Server seen_on = kUnknownServer;
    Clock::time_point at{}, acknowledged_at{};
  };

  // The writer of `value` was told that it had succeeded.
  void Acknowledge(std::int64_t value);
  [[nodiscard]] Before Begin() const;
  // A read that began at `before` found `value` on `server`. `what` names the read in a report.
  void End(const Before& before, std::int64_t value, Server server, std::string_view what, Findings& findings);
  [[nodiscard]] std::int64_t acknowledged() const { return acknowledged_.load(); }

 private:
  static constexpr unsigned kServerBits = 3;
  std::atomic<std::int64_t> acknowledged_{0};
  std::atomic<Clock::rep> acknowledged_at_{0};
  std::atomic<std::uint64_t> seen_{kUnknownServer};  // value and server, so that one exchange raises both
};

// A row of text to which any writer appends ",n", each n once. Up to kLength appends.
class List {
 public:
  static constexpr std::size_t kLength = 200;
  struct Before {
    std::size_t acknowledged = 0, seen_length = 0;
    Clock::time_point at{};
  };

  // The next number to append, from 1; 0 when the list is full.
  [[nodiscard]] std::size_t Next();
  void Acknowledge(std::size_t number);
  // The append surely did not happen.
  void Fail(std::size_t number);
  [[nodiscard]] Before Begin() const;
  void End(const Before& before, std::string_view text, Server server, std::string_view what, Findings& findings);

 private:
  std::atomic<std::size_t> next_{1};
  mutable std::mutex mutex_;
  std::vector<std::size_t> acknowledged_;
  std::array<bool, kLength + 1> failed_{};
  std::string longest_;
};

}  // namespace consistency
