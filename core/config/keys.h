// What several tables of the configuration have in common. Internal to reading it.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <span>
#include <string_view>

#include "core/config/reader.h"
#include "routing/policy.h"

namespace waypost {

// Keys that may stand only before the first [table].
inline constexpr std::array<std::string_view, 2> kTopLevelKeys = {"workers", "drain_timeout"};
inline constexpr std::size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1, postgres src/include/pg_config_manual.h
inline constexpr milliseconds kNone{0};
inline constexpr milliseconds kTick{1};
inline constexpr milliseconds kMinute = std::chrono::minutes(1);
inline constexpr milliseconds kMonth = std::chrono::hours(24 * 30);

template <class E, std::size_t N>
std::span<const Choice<E>> All(const std::array<Choice<E>, N>& choices) {
  return choices;
}

inline constexpr std::array<Choice<ReadFrom>, 3> kReadFrom = {
    {{"synchronous", ReadFrom::kSynchronous}, {"streaming", ReadFrom::kStreaming}, {"none", ReadFrom::kNone}}};
inline constexpr std::array<Choice<ReadFromPrimary>, 3> kReadFromPrimary = {
    {{"fallback", ReadFromPrimary::kFallback}, {"always", ReadFromPrimary::kAlways}, {"never", ReadFromPrimary::kNever}}};
inline constexpr std::array<Choice<Consistency>, 4> kConsistency = {{{"strict", Consistency::kStrict},
                                                                     {"bounded", Consistency::kBounded},
                                                                     {"eventual", Consistency::kEventual},
                                                                     {"primary", Consistency::kPrimary}}};
inline constexpr std::array<Choice<bool>, 2> kBegin = {{{"lazy", true}, {"eager", false}}};
inline bool IsLabel(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; });
}

// The keys that say how old a read may be.
template <class Routing>
void ReadConsistencyKeys(ConfigSection& section, Routing& routing) {
  section.OneOf("consistency", routing.consistency, All(kConsistency));
  section.Span("fence_wait", routing.fence_wait, kNone, kMinute);
  section.Span("max_lag", routing.max_lag, kTick, kMonth);
  section.Size("max_lag_bytes", routing.max_lag_bytes);
}

// All of [routing] that may be overridden.
template <class Routing>
void ReadRoutingKeys(ConfigSection& section, Routing& routing) {
  section.OneOf("read_from", routing.read_from, All(kReadFrom));
  section.OneOf("read_from_primary", routing.read_from_primary, All(kReadFromPrimary));
  ReadConsistencyKeys(section, routing);
  section.OneOf("begin", routing.lazy_begin, All(kBegin));
  section.Fraction("self_check", routing.self_check);
}

}  // namespace waypost
