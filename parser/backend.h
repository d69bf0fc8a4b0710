// The bodies of the messages that a server sends, as far as Waypost looks into them. Pure; views into the body.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"

namespace waypost {

// The fields of an ErrorResponse or NoticeResponse that decide anything; empty where absent.
struct ErrorView {
  std::string_view severity;  // not localised ('V'), else 'S'
  std::string_view sqlstate;
  std::string_view message;
  std::string_view routine;  // that raised it: not localised
  bool placed = false;   // it points into the text that the client sent
  bool in_code = false;  // it came up in a function, or in a text that one ran
};
// Reads what is there; `body` may be cut short.
[[nodiscard]] ErrorView ReadError(Bytes body);

// 'I' idle, 'T' in a block, 'E' in a failed block; nothing if the body is not one of these bytes.
[[nodiscard]] std::optional<char> ReadReadyForQuery(Bytes body);

[[nodiscard]] std::optional<std::pair<std::string_view, std::string_view>> ReadParameterStatus(Bytes body);

}  // namespace waypost
