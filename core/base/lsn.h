// A position in the write-ahead log. Comparable within one epoch only (same cluster and timeline). Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waypost {

struct Lsn {
  std::uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
};

// Reads PostgreSQL's text form, "16/B374D848"; nothing if `text` is not that.
[[nodiscard]] std::optional<Lsn> ParseLsn(std::string_view text);

// PostgreSQL's text form.
[[nodiscard]] std::string FormatLsn(Lsn lsn);

}  // namespace waypost
