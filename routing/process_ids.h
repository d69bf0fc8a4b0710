// Process ids as a client sees them. At log-in it gets one that names its session, not a backend. Whichever backend
// serves it later, its own notifications must carry that id, and those of others must not. Pure.
#pragma once

#include <cstdint>

namespace waypost {

// `sender`: the backend that a NotificationResponse names. `backend`: the one that serves the client. `told`: the process
// id in the client's BackendKeyData. The two change places, so that different senders stay different.
[[nodiscard]] constexpr std::uint32_t SenderTold(std::uint32_t sender, std::uint32_t backend, std::uint32_t told) {
  if (sender == backend) return told;
  return sender == told ? backend : sender;
}

}  // namespace waypost
