#include "routing/policy.h"

namespace waypost {

void Apply(const RoutingOverrides& overrides, RoutingPolicy& policy) {
  if (overrides.read_from) policy.read_from = *overrides.read_from;
  if (overrides.read_from_primary) policy.read_from_primary = *overrides.read_from_primary;
  if (overrides.consistency) policy.consistency = *overrides.consistency;
  if (overrides.lazy_begin) policy.lazy_begin = *overrides.lazy_begin;
  if (overrides.fence_wait) policy.fence_wait = *overrides.fence_wait;
  if (overrides.max_lag) policy.max_lag = *overrides.max_lag;
  if (overrides.self_check) policy.self_check = *overrides.self_check;
  if (overrides.max_lag_bytes) policy.max_lag_bytes = *overrides.max_lag_bytes;
}

}  // namespace waypost
