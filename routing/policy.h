// What the administrator asked for, resolved for one session: [routing] and [pool], overridden by [[database]], then by
// [[user]]; routing also by [[application]], then by the listener, and for one batch by rules. Pure values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/time.h"

namespace waypost {

enum class ReadFrom : std::uint8_t { kSynchronous, kStreaming, kNone };
enum class ReadFromPrimary : std::uint8_t { kFallback, kAlways, kNever };
enum class Consistency : std::uint8_t { kStrict, kBounded, kEventual, kPrimary };
enum class Pins : std::uint8_t { kAllow, kRefuse };
enum class PoolMode : std::uint8_t { kTransaction, kSession, kStatement };

struct RoutingPolicy {
  ReadFrom read_from = ReadFrom::kSynchronous;
  ReadFromPrimary read_from_primary = ReadFromPrimary::kFallback;
  Consistency consistency = Consistency::kStrict;
  bool lazy_begin = true;     // BEGIN is answered at once and sent with the first statement of its block
  milliseconds fence_wait{5};  // how long a read waits for a replica to catch up
  milliseconds max_lag{1'000};      // kBounded: how old a read may be; 0: no limit in time
  std::uint64_t max_lag_bytes = 0;  // kBounded: how much WAL a replica may lag; 0: no limit in bytes
  double self_check = 0;            // the share of reads on replicas that also run on the primary, to compare
};

// Some of the same. What is empty is inherited.
struct RoutingOverrides {
  std::optional<ReadFrom> read_from;
  std::optional<ReadFromPrimary> read_from_primary;
  std::optional<Consistency> consistency;
  std::optional<bool> lazy_begin;
  std::optional<milliseconds> fence_wait;
  std::optional<milliseconds> max_lag;
  std::optional<std::uint64_t> max_lag_bytes;
  std::optional<double> self_check;
};
void Apply(const RoutingOverrides& overrides, RoutingPolicy& policy);

// Who asks, as far as policies tell sessions apart.
struct Asker {
  std::string_view user{}, database{};
  std::string_view application{};  // application_name as it is now
  std::string_view listener{};     // the name of the listener that the client connected to
};

struct PoolPolicy {
  PoolMode mode = PoolMode::kTransaction;
  Pins pins = Pins::kAllow;           // kRefuse: a statement that would tie its session to a connection is an error
  unsigned min_size = 0;              // server connections kept open per pool and worker, once it was used
  unsigned max_size = 0;              // server connections per pool and worker; 0: only the server's max_connections
  milliseconds idle_timeout{600'000};  // an idle server connection above min_size is closed after this
  milliseconds lifetime{3'600'000};    // a server connection is closed when idle and older; jitter +-10 %
  milliseconds sequence_memory{3'600'000};  // so long after a user asked for currval(), his sessions stay where they took values
  milliseconds query_wait_timeout{120'000};  // how long a statement may wait for a server connection; 0: for ever
};

struct SessionLimits {
  milliseconds login_timeout{15'000};
  milliseconds client_idle_timeout{0};  // 0: none
  milliseconds idle_in_transaction_timeout{0};  // 0: none
};

}  // namespace waypost
