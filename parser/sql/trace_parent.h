// The trace that a statement belongs to, as its comment says: sqlcommenter's /* ..., traceparent='00-TRACE-SPAN-FLAGS', ... */ with
// the value that W3C Trace Context gives it. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "parser/sql/facts.h"

namespace waypost {

struct TraceParent {
  std::array<char, 32> trace{};  // lower-case hexadecimal digits, not all 0
  std::array<char, 16> span{};  // the same
  bool sampled = false;  // whoever began the trace keeps it
};

// Longer texts are not searched: finding comments takes time.
inline constexpr std::size_t kMaxTracedTextBytes = 256 * 1024;

// By the first comment of `sql`, anywhere in it, that has one. nullopt: there is none, or what stands there is not of this form.
[[nodiscard]] std::optional<TraceParent> TraceParentIn(std::string_view sql, Lexing lexing);

}  // namespace waypost
