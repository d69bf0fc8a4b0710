// The bodies of the messages that a server sends, as far as Waypost looks into them. Pure; views into the body.
#pragma once

#include <optional>
#include <string>
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

// What PostgreSQL compares when it looks whether DDL has changed what a prepared statement returns: of a RowDescription, the
// name, type, length and modifier of each column, but not which table's they are, nor in which format they come. Two are
// equal if these bytes are. Nothing if the body is not well formed, or is cut short.
[[nodiscard]] std::optional<std::string> ReadColumns(Bytes row_description);

}  // namespace waypost
