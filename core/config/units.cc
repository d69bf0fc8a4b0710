#include "core/config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace waypost {
namespace {

template <std::size_t N>
using Units = std::array<std::pair<std::string_view, std::int64_t>, N>;

constexpr Units<5> kSpans = {{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
// As postgresql.conf writes them.
constexpr Units<5> kSizes = {{{"B", 1}, {"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", std::int64_t{1} << 40}}};

// Digits and a unit.
template <std::size_t N>
std::optional<std::int64_t> Parse(std::string_view text, const Units<N>& units) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : units) {
    if (unit != name) continue;
    if (number > std::numeric_limits<std::int64_t>::max() / factor) return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<milliseconds> ParseSpan(std::string_view text) {
  const auto parsed = Parse(text, kSpans);
  if (!parsed) return std::nullopt;
  return milliseconds(*parsed);
}

std::optional<std::uint64_t> ParseSize(std::string_view text) {
  const auto parsed = Parse(text, kSizes);
  if (!parsed) return std::nullopt;
  return static_cast<std::uint64_t>(*parsed);
}

std::string FormatSpan(milliseconds span) {
  if (span.count() == 0) return "0";
  for (auto unit = kSpans.rbegin(); unit != kSpans.rend(); ++unit)
    if (span.count() % unit->second == 0) return std::to_string(span.count() / unit->second) + std::string(unit->first);
  return std::to_string(span.count()) + "ms";
}

}  // namespace waypost
