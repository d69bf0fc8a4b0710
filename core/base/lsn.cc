#include "core/base/lsn.h"

#include <charconv>
#include <cstdio>

namespace waypost {
namespace {

std::optional<std::uint32_t> ParseHex(std::string_view text) {
  std::uint32_t value = 0;
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<Lsn> ParseLsn(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = ParseHex(text.substr(0, slash));
  const auto low = ParseHex(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(std::uint64_t{*high} << 32U) | *low};
}

std::string FormatLsn(Lsn lsn) {
  char text[24];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn.value >> 32U),
                static_cast<unsigned>(lsn.value & 0xFFFFFFFFU));
  return text;
}

}  // namespace waypost
