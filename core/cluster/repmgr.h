// repmgr's list of the servers of its cluster: repmgr.nodes, without witnesses.
// Source: https://www.repmgr.org/docs/current/repmgr-administration-manual.html
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "routing/membership.h"

namespace waypost {

// Where `conninfo` of a node leads: `found` gets its host and port. "" or what is wrong with it; never quotes it, for it may hold a
// password.
[[nodiscard]] std::string ReadNodeConninfo(const std::string& conninfo, FoundServer& found);

// Asks `server`, as the monitor. Blocks for some seconds at most.
[[nodiscard]] Result<std::vector<FoundServer>> AskRepmgr(const Config& config, const ServerConfig& server);

}  // namespace waypost
