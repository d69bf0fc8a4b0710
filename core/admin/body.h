// What a request to the admin API says, checked: its body and its parameters. Pure. Each error says what was found and what was expected.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace waypost {

inline constexpr std::uint64_t kMaxExactNumber = (1ULL << 53U) - 1;  // what every reader of JSON can count to

// An object with no other members than those `known`; an empty one if the body is empty.
[[nodiscard]] Result<nlohmann::json> ReadBody(const std::string& body, std::initializer_list<std::string_view> known);
// The whole number under `key`; nothing if it is absent, or wrong: then `problem` is set.
[[nodiscard]] std::optional<unsigned> NumberIn(const nlohmann::json& body, const char* key, unsigned low, unsigned high,
                                               std::string& problem);
// The text under `key`, one of `choices`; likewise.
[[nodiscard]] std::optional<std::string> ChoiceIn(const nlohmann::json& body, const char* key,
                                                  std::initializer_list<std::string_view> choices, std::string& problem);
// A whole number in digits; nothing if it is none.
[[nodiscard]] std::optional<std::uint64_t> NumberOf(const std::string& text);

}  // namespace waypost
