// What each SHOW of the console answers: which columns, of what it is made, and its rows. PgBouncer 1.25's where PgBouncer has it,
// so that what monitors PgBouncer can monitor Waypost. Pure but for the reading of metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "core/console/table.h"
#include "core/env/database_gates.h"
#include "core/fence/report.h"
#include "core/observe/census.h"
#include "core/observe/digests.h"
#include "metrics/worker_metrics.h"
#include "routing/cluster_view.h"

namespace waypost {

// What the workers are asked for a listing.
enum ConsoleNeed : unsigned {
  kNeedsNothing = 0,
  kNeedsClients = 1U << 0U,
  kNeedsPools = 1U << 1U,
  kNeedsSessions = 1U << 2U,
  kNeedsConnections = 1U << 3U,
  kNeedsTraffic = 1U << 4U,
  kNeedsDigests = 1U << 5U,
  kNeedsFence = 1U << 6U,
};

// What there is to answer from; of the reports those that were needed.
struct ConsoleFacts {
  ConfigSnapshot config;
  View view;  // may be null
  std::chrono::system_clock::time_point now;
  std::vector<const WorkerMetrics*> threads;
  ClientReport clients;
  PoolReport pools;
  SessionReport sessions;
  ConnectionReport connections;
  TrafficReport traffic;
  DigestReport digests;
  FenceReport fence;
  bool paused = false;  // of the writes, or all
  DatabaseGates::All gates;
};

struct Listing {
  std::string name;  // in lower case
  std::string what;  // for SHOW HELP
  Columns columns;
  unsigned needs = kNeedsNothing;
  Table (*rows)(const std::shared_ptr<const ConsoleFacts>& facts) = nullptr;
};

// nullptr: there is none of that name. Lives for ever.
[[nodiscard]] const Listing* FindListing(std::string_view name);
// What SHOW HELP says.
[[nodiscard]] std::string ConsoleHelp();

}  // namespace waypost
