// Process ids as a client is told them. At log-in it gets one that names its session, not a backend; whichever backend
// serves it then, a notification of its own must carry that one, and a notification of another's must not. Pure.
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
