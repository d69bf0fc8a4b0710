// An operator's word about which server is the primary, where Waypost will not decide: see routing/succession.h.
#pragma once

#include <string>

#include "core/base/result.h"
#include "core/config/config.h"
#include "routing/cluster_view.h"

namespace waypost {

// Writes to the state file that `server`, as `view` shows it, is the primary: in whatever term, and with whatever it lacks. The
// other terms that `view` shows are void from then on. A running Waypost hears of it when it reloads. The value is a sentence
// for the operator, and so is the error.
[[nodiscard]] Result<std::string> AcceptPrimary(const Config& config, const ClusterView& view, const std::string& server);

}  // namespace waypost
