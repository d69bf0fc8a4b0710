#include "routing/pool_policy.h"

namespace waypost {

OnRelease ServeNext(std::optional<TimePoint> own, std::optional<TimePoint> others) {
  if (!own) return others ? OnRelease::kHandOver : OnRelease::kKeepIdle;
  return MayGrow(own, others) ? OnRelease::kServeOwn : OnRelease::kHandOver;
}

bool MayGrow(std::optional<TimePoint> own, std::optional<TimePoint> others) {
  return !own || !others || *others + kHandOverAfter >= *own;
}

bool TooOld(const ConnectionAge& age, TimePoint now) {
  return age.lifetime.count() > 0 && now - age.born > age.lifetime;
}

bool IdleTooLong(const ConnectionAge& age, TimePoint now) {
  return age.idle_timeout.count() > 0 && now - age.idle_since > age.idle_timeout;
}

milliseconds Jitter(milliseconds lifetime, std::uint32_t random) {
  const auto tenth = lifetime.count() / 10;
  return lifetime - milliseconds(tenth) + milliseconds(static_cast<std::int64_t>(random) * 2 * tenth >> 32U);
}

}  // namespace waypost
