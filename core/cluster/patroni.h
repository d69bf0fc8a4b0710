// Patroni's list of the servers of its cluster: GET /cluster of its REST API.
// Source: https://patroni.readthedocs.io/en/latest/rest_api.html
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "routing/membership.h"

namespace waypost {

// A longer answer is not read.
inline constexpr std::size_t kMaxPatroniBytes = 256U << 10U;

// What `text` lists: {"members": [{"name", "role", "host", "port", ...}, ...]}. A member without host and port has none yet. The error
// says what was found, and what was expected.
[[nodiscard]] Result<std::vector<FoundServer>> ReadPatroniCluster(std::string_view text);

// Blocks for two seconds at most. `url` without the path; `ca` as DiscoveryConfig::patroni_ca.
[[nodiscard]] Result<std::vector<FoundServer>> AskPatroni(const std::string& url, const std::string& ca);

}  // namespace waypost
