// [[rule]] tables of the configuration.
#pragma once

#include "core/config/config.h"
#include "core/config/reader.h"

namespace waypost {

// `config` holds everything except the rules. What is wrong becomes a fault.
[[nodiscard]] RuleSet ReadRules(ConfigSection& root, ConfigFaults& faults, const Config& config);

}  // namespace waypost
