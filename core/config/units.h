// Durations and sizes as the configuration writes them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"

namespace waypost {

// "5ms", "30s", "10m", "1h", "2d".
[[nodiscard]] std::optional<milliseconds> ParseSpan(std::string_view text);
[[nodiscard]] std::string FormatSpan(milliseconds span);
// "512B", "64kB", "16MB", "1GB", "1TB".
[[nodiscard]] std::optional<std::uint64_t> ParseSize(std::string_view text);

}  // namespace waypost
