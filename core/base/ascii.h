// Lower case as PostgreSQL folds names: only the letters A to Z, in any locale. Pure.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace waypost {

[[nodiscard]] constexpr char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
[[nodiscard]] inline std::string AsciiLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return AsciiLower(c); });
  return lower;
}

}  // namespace waypost
