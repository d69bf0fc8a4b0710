// Who gets a server connection next, when several pools share one server's limit. Pure.
// No waiter starves: a connection serves its own pool as long as no other waiter has waited noticeably longer.
#pragma once

#include <optional>

#include "core/base/time.h"

namespace waypost {

// A connection given to another pool costs a new login; a wait that is longer by less than this is not worth it.
inline constexpr milliseconds kHandOverAfter{100};

enum class OnRelease : std::uint8_t {
  kServeOwn,   // the oldest waiter of its own pool
  kHandOver,   // close it: somebody else under the same limit has waited longer
  kKeepIdle,
};

// `own`, `others`: since when the oldest waiter of this pool, and of every other pool of the server, has waited.
[[nodiscard]] OnRelease ServeNext(std::optional<TimePoint> own, std::optional<TimePoint> others);

// True if a pool whose oldest waiter came at `own` may take a free place under the limit.
[[nodiscard]] bool MayGrow(std::optional<TimePoint> own, std::optional<TimePoint> others);

// When an idle or old connection is to be closed.
struct ConnectionAge {
  TimePoint born, idle_since;
  milliseconds lifetime;      // with jitter; 0: none
  milliseconds idle_timeout;  // 0: none
};
[[nodiscard]] bool TooOld(const ConnectionAge& age, TimePoint now);
[[nodiscard]] bool IdleTooLong(const ConnectionAge& age, TimePoint now);

// `lifetime` +-10 %, by `random` in 0 .. 2^32-1, so that a pool opened at one instant does not close at one.
[[nodiscard]] milliseconds Jitter(milliseconds lifetime, std::uint32_t random);

}  // namespace waypost
