#include "core/observe/query_log.h"

namespace waypost {

void QueryLog::Configure(const QueryLogConfig& config) {
  using Which = QueryLogConfig::Which;
  constexpr double kAllNumbers = 4294967296.0;
  on_ = config.which != Which::kOff;
  literals_ = config.literals;
  slow_ = config.which == Which::kAll ? Duration::min() : config.slow;
  sampled_ = config.which == Which::kSampled ? static_cast<std::uint64_t>(config.sample * kAllNumbers) : 0;
}

}  // namespace waypost
