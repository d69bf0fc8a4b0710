// The bodies of the messages that a client sends, as far as Waypost looks into them. Pure; views into the body.
// Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
#pragma once

#include <optional>
#include <string_view>

#include "core/base/bytes.h"

namespace waypost {

// Parse: name, SQL text, and the parameter types as they stand on the wire (count:int16, oid:int32 ...).
struct ParseMessage {
  std::string_view name, sql;
  Bytes types;
};

// Bind: the portal made and the statement it is made from; `rest` is everything behind the two names.
struct BindMessage {
  std::string_view portal, statement;
  Bytes rest;
};

// Describe and Close: kind is 'S' (statement) or 'P' (portal).
struct TargetMessage {
  char kind = 0;
  std::string_view name;
};

// Each returns nothing if the body is not well formed: the server will say so.
[[nodiscard]] std::optional<std::string_view> ReadQuery(Bytes body);
[[nodiscard]] std::optional<ParseMessage> ReadParse(Bytes body);
[[nodiscard]] std::optional<BindMessage> ReadBind(Bytes body);
// How many formats of returned columns a Bind gives, whose `rest` this is: 0 and 1 are for any number of columns.
[[nodiscard]] std::optional<std::uint16_t> CountResultFormats(Bytes rest);
[[nodiscard]] std::optional<TargetMessage> ReadTarget(Bytes body);
[[nodiscard]] std::optional<std::string_view> ReadExecutePortal(Bytes body);

}  // namespace waypost
