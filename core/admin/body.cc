#include "core/admin/body.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace waypost {

using nlohmann::json;

namespace {

std::string TypeOf(const json& value) { return value.type_name(); }

}  // namespace

Result<json> ReadBody(const std::string& body, std::initializer_list<std::string_view> known) {
  if (body.empty()) return json(json::object());
  auto read = json::parse(body, nullptr, false);
  if (read.is_discarded()) return Error{"The body is not valid JSON."};
  if (!read.is_object()) return Error{"found " + TypeOf(read) + ", expected an object"};
  for (const auto& [key, value] : read.items())
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string expected;
      for (const auto name : known) expected += (expected.empty() ? "\"" : ", \"") + std::string(name) + "\"";
      return Error{"unknown member \"" + key + "\", expected " + (expected.empty() ? "none" : expected)};
    }
  return read;
}

std::optional<unsigned> NumberIn(const json& body, const char* key, unsigned low, unsigned high, std::string& problem) {
  const auto at = body.find(key);
  if (at == body.end()) return std::nullopt;
  // 60.0 is a whole number, too.
  if (const auto number = at->is_number() ? at->get<double>() : -1;
      number >= low && number <= high && number == std::floor(number))
    return static_cast<unsigned>(number);
  problem = std::string("found ") + at->dump() + " as \"" + key + "\", expected a whole number from " + std::to_string(low) +
            " to " + std::to_string(high);
  return std::nullopt;
}

std::optional<std::string> ChoiceIn(const json& body, const char* key, std::initializer_list<std::string_view> choices,
                                    std::string& problem) {
  const auto at = body.find(key);
  if (at == body.end()) return std::nullopt;
  std::string expected;
  for (const auto choice : choices) {
    if (at->is_string() && at->get_ref<const std::string&>() == choice) return std::string(choice);
    expected += (expected.empty() ? "\"" : ", \"") + std::string(choice) + "\"";
  }
  problem = std::string("found ") + at->dump(-1, ' ', false, json::error_handler_t::replace) + " as \"" + key +
            "\", expected one of " + expected;
  return std::nullopt;
}

std::optional<std::uint64_t> NumberOf(const std::string& text) {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

}  // namespace waypost
