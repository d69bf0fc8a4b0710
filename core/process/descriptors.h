// How many file descriptors the configuration can need, and what is cut if the system gives fewer, so that clients never
// take those of server connections, and neither of them takes the rest. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/config/config.h"

namespace waypost {

struct DescriptorPlan {
  std::uint64_t limit = 0;   // what the system gives
  std::uint64_t needed = 0;  // for everything that the configuration allows at once
  [[nodiscard]] bool fits() const { return needed <= limit; }
};

// How many connections the admin port takes at once, if the system gives `limit` descriptors.
[[nodiscard]] std::size_t AdminConnectionsFor(std::uint64_t limit);

// Lowers max_clients, max_logins and each server's max_connections until all fit into `limit` (none below 1).
DescriptorPlan FitDescriptors(Config& config, unsigned workers, std::uint64_t limit);

}  // namespace waypost
