// What stands where in an answer of the admin API. Pure. Whatever an answer lacks, as of another version of Waypost, is empty.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace waypost {

// Null if it is no JSON object.
[[nodiscard]] nlohmann::json ReadObject(const std::string& text);
// What stands at `path` ("connections/idle"); null if there is nothing.
[[nodiscard]] const nlohmann::json& At(const nlohmann::json& value, std::string_view path);
// An empty list if there is none.
[[nodiscard]] const nlohmann::json& ListAt(const nlohmann::json& value, std::string_view path);
// Of null "", of true "yes".
[[nodiscard]] std::string Text(const nlohmann::json& value);
[[nodiscard]] std::string TextAt(const nlohmann::json& value, std::string_view path);
[[nodiscard]] std::string Or(std::string text, std::string_view otherwise);
[[nodiscard]] std::optional<double> NumberAt(const nlohmann::json& value, std::string_view path);
[[nodiscard]] bool TrueAt(const nlohmann::json& value, std::string_view path);
// "1.20 ms", "34 ms", "12 s"; of nothing "".
[[nodiscard]] std::string Milliseconds(std::optional<double> value);

}  // namespace waypost
