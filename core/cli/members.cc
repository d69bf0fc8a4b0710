#include "core/cli/members.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace waypost {

using nlohmann::json;

json ReadObject(const std::string& text) {
  auto read = json::parse(text, nullptr, false);
  return read.is_object() ? read : json(nullptr);
}

const json& At(const json& value, std::string_view path) {
  static const json kNothing;
  const auto* at = &value;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    if (!at->is_object()) return kNothing;
    const auto found = at->find(std::string(path.substr(0, end)));
    if (found == at->end()) return kNothing;
    at = &*found;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return *at;
}

const json& ListAt(const json& value, std::string_view path) {
  static const json kEmpty = json::array();
  const auto& list = At(value, path);
  return list.is_array() ? list : kEmpty;
}

std::string Text(const json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string TextAt(const json& value, std::string_view path) { return Text(At(value, path)); }

std::string Or(std::string text, std::string_view otherwise) { return text.empty() ? std::string(otherwise) : std::move(text); }

std::optional<double> NumberAt(const json& value, std::string_view path) {
  const auto& at = At(value, path);
  return at.is_number() ? std::optional(at.get<double>()) : std::nullopt;
}

bool TrueAt(const json& value, std::string_view path) {
  const auto& at = At(value, path);
  return at.is_boolean() && at.get<bool>();
}

std::string Milliseconds(std::optional<double> value) {
  if (!value) return "";
  std::array<char, 64> text{};
  (void)std::snprintf(text.data(), text.size(),
                      *value < 10       ? "%.2f ms"
                      : *value < 10'000 ? "%.0f ms"
                                        : "%.0f s",
                      *value < 10'000 ? *value : *value / 1000);
  return text.data();
}

}  // namespace waypost
