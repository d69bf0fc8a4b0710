#include "routing/pool_policy.h"

#include <cstdint>

namespace waypost {

OnRelease ServeNext(std::optional<TimePoint> own, std::optional<TimePoint> others) {
  if (!own) return others ? OnRelease::kHandOver : OnRelease::kKeepIdle;
  return MayGrow(own, others) ? OnRelease::kServeOwn : OnRelease::kHandOver;
}

bool MayGrow(std::optional<TimePoint> own, std::optional<TimePoint> others) {
  return !own || !others || *others + kHandOverAfter >= *own;
}

bool TooOld(const ConnectionAge& age, TimePoint now) { return age.lifetime.count() > 0 && now - age.born > age.lifetime; }

bool IdleTooLong(const ConnectionAge& age, TimePoint now) {
  return age.idle_timeout.count() > 0 && now - age.idle_since > age.idle_timeout;
}

milliseconds Jitter(milliseconds lifetime, std::uint32_t random) {
  const auto tenth = lifetime.count() / 10;
  // In floating point: lifetimes of months would overflow.
  const double share = 2.0 * static_cast<double>(random) / 4294967296.0;
  return lifetime - milliseconds(tenth) + milliseconds(static_cast<std::int64_t>(static_cast<double>(tenth) * share));
}

}  // namespace waypost
