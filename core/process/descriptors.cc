#include "core/process/descriptors.h"

#include <algorithm>

namespace waypost {
namespace {

constexpr std::uint64_t kProcess = 24;       // standard streams, log, state, the catalogue's connection, what libraries hold
constexpr std::uint64_t kAdminReserve = 8;   // connections to the admin port that make way for others, and are not closed yet
constexpr std::uint64_t kEachWorker = 10;    // its loop, its timers, a reserve
constexpr std::uint64_t kEachServer = 2;     // the prober's
// Of the descriptors for clients, where there are too few: for those who are not logged in yet.
constexpr std::uint64_t kLoginsShare = 4;

// What does not grow with the load.
std::uint64_t Fixed(const Config& config, unsigned workers, std::uint64_t limit) {
  const std::uint64_t servers = config.servers.size();
  const auto local =
      static_cast<std::uint64_t>(std::ranges::count_if(config.listeners, [](const auto& l) { return !l.socket.empty(); }));
  const std::uint64_t of_worker = kEachWorker + config.listeners.size() + local + servers;  // a probe's connection to each server
  return kProcess + AdminConnectionsFor(limit) + kAdminReserve + workers * of_worker + kEachServer * servers;
}

unsigned AtMost(unsigned wanted, std::uint64_t most) {
  return static_cast<unsigned>(std::clamp<std::uint64_t>(wanted, 1, std::max<std::uint64_t>(1, most)));
}

}  // namespace

std::size_t AdminConnectionsFor(std::uint64_t limit) {
  constexpr std::uint64_t kFewest = 16, kMost = 64, kShare = 16;
  return static_cast<std::size_t>(std::clamp(limit / kShare, kFewest, kMost));
}

DescriptorPlan FitDescriptors(Config& config, unsigned workers, std::uint64_t limit) {
  const auto fixed = Fixed(config, workers, limit);
  std::uint64_t of_servers = 0;
  for (const auto& server : config.servers) of_servers += server.max_connections;
  const std::uint64_t of_clients = std::uint64_t{config.max_clients} + config.max_logins;
  const DescriptorPlan plan{.limit = limit, .needed = fixed + of_servers + of_clients};
  if (plan.fits()) return plan;

  const auto left = limit > fixed ? limit - fixed : 0;
  // Clients wait for a server connection; a server connection that cannot be opened helps nobody.
  const auto for_servers = std::min(of_servers, left / 2);
  const auto for_clients = left - for_servers;
  if (for_servers < of_servers)
    for (auto& server : config.servers)
      server.max_connections = AtMost(server.max_connections, server.max_connections * for_servers / of_servers);
  config.max_logins = AtMost(config.max_logins, for_clients / kLoginsShare);
  config.max_clients = AtMost(config.max_clients, for_clients - std::min<std::uint64_t>(for_clients, config.max_logins));
  return plan;
}

}  // namespace waypost
