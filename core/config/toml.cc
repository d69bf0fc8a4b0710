#include "core/config/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <exception>

namespace waypost {
namespace {

TomlTable Convert(const toml::table& table);

TomlValue Convert(const toml::node& node) {
  TomlValue result;
  result.line = node.source().begin.line;
  if (const auto* text = node.as_string()) result.value = text->get();
  else if (const auto* number = node.as_integer()) result.value = number->get();
  else if (const auto* flag = node.as_boolean()) result.value = flag->get();
  else if (const auto* table = node.as_table()) result.value = Convert(*table);
  else if (const auto* array = node.as_array()) {
    TomlArray items;
    for (const auto& item : *array) items.items.push_back(Convert(item));
    result.value = std::move(items);
  } else if (const auto* fraction = node.as_floating_point()) {
    result.value = fraction->get();
  } else {
    result.value = TomlOther{"a date or time"};
  }
  return result;
}

TomlTable Convert(const toml::table& table) {
  TomlTable result;
  for (const auto& [key, node] : table) result.entries.push_back({std::string(key.str()), Convert(node)});
  std::stable_sort(result.entries.begin(), result.entries.end(),
                   [](const TomlEntry& a, const TomlEntry& b) { return a.value.line < b.value.line; });
  return result;
}

}  // namespace

Result<TomlTable> ParseToml(std::string_view text, const std::string& path) {
  try {
    return Convert(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    return Error{path + ":" + std::to_string(error.source().begin.line) +
                 ": not valid TOML: " + std::string(error.description())};
  } catch (const std::exception& error) {
    return Error{path + ": not valid TOML: " + error.what()};
  }
}

}  // namespace waypost
