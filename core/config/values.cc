#include "core/config/values.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/toml.h"

namespace waypost {
namespace {

using nlohmann::json;

// Of which there may be several.
constexpr std::array<std::string_view, 6> kLists = {"listen", "server", "user", "database", "application", "rule"};

bool IsSecret(std::string_view key) {
  const auto last = key.substr(key.rfind('.') + 1);
  return last == "password" || last == "query_password" || last == "scram" || key == "admin.webhook" ||
         key == "admin.webhook_token";
}

json JsonOf(const TomlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&value.value)) return *number;
  if (const auto* fraction = std::get_if<double>(&value.value)) return *fraction;
  if (const auto* flag = std::get_if<bool>(&value.value)) return *flag;
  json all = json::array();
  if (const auto* array = std::get_if<TomlArray>(&value.value))
    for (const auto& item : array->items) all.push_back(JsonOf(item));
  return all;
}

std::string NameOf(const TomlTable& table, std::size_t index) {
  for (const auto& [key, value] : table.entries)
    if (const auto* text = std::get_if<std::string>(&value.value); text != nullptr && key == "name") return *text;
  return std::to_string(index + 1);
}

void Flatten(const TomlTable& table, const std::string& before, std::vector<ConfigValue>& to) {
  for (const auto& [name, value] : table.entries) {
    const auto key = before + name;
    if (const auto* inner = std::get_if<TomlTable>(&value.value)) {
      Flatten(*inner, key + ".", to);
      continue;
    }
    const auto* array = std::get_if<TomlArray>(&value.value);
    const bool tables =
        array != nullptr && !array->items.empty() && std::holds_alternative<TomlTable>(array->items.front().value);
    if (!tables) {
      to.push_back({key, JsonOf(value).dump(-1, ' ', false, json::error_handler_t::replace), value.line, IsSecret(key)});
      continue;
    }
    for (std::size_t i = 0; i < array->items.size(); ++i)
      if (const auto* one = std::get_if<TomlTable>(&array->items[i].value)) Flatten(*one, key + "." + NameOf(*one, i) + ".", to);
  }
}

bool OfList(std::string_view key) {
  return std::any_of(kLists.begin(), kLists.end(),
                     [&](std::string_view list) { return key.starts_with(list) && key.substr(list.size()).starts_with('.'); });
}

}  // namespace

Result<std::vector<ConfigValue>> ConfigValues(std::string_view text, const std::string& path) {
  const auto table = ParseToml(text, path);
  if (!table) return Error{table.error()};
  std::vector<ConfigValue> values;
  Flatten(*table, "", values);
  const auto example = ParseToml(ExampleConfig(), "defaults");
  if (!example) return Error{example.error()};
  std::vector<ConfigValue> defaults;
  Flatten(*example, "", defaults);
  const auto given = values.size();
  for (auto& one : defaults) {
    // What the example says of them is an example.
    if (OfList(one.key) || one.key.starts_with("monitor.user") || one.key.starts_with("monitor.password")) continue;
    const bool there = std::any_of(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(given),
                                   [&](const auto& value) { return value.key == one.key; });
    one.line = 0;
    if (!there) values.push_back(std::move(one));
  }
  return values;
}

std::string ShownJson(const ConfigValue& value) { return value.secret ? "\"***\"" : value.json; }

std::vector<ConfigChange> ConfigChanges(const std::vector<ConfigValue>& before, const std::vector<ConfigValue>& after) {
  std::map<std::string_view, std::pair<const ConfigValue*, const ConfigValue*>> both;
  for (const auto& value : before) both[value.key].first = &value;
  for (const auto& value : after) both[value.key].second = &value;
  std::vector<ConfigChange> changes;
  for (const auto& [key, pair] : both) {
    const auto [was, is] = pair;
    if (was != nullptr && is != nullptr && was->json == is->json) continue;
    changes.push_back({std::string(key), was != nullptr ? ShownJson(*was) : "null", is != nullptr ? ShownJson(*is) : "null"});
  }
  return changes;
}

bool NeedsRestart(std::string_view key) {
  if (key.starts_with("admin.webhook")) return false;
  if (key == "workers" || key == "cluster.state_file" || key.starts_with("admin.")) return true;
  if (!key.starts_with("listen.")) return false;
  const auto last = key.substr(key.rfind('.') + 1);
  return last == "address" || last == "port" || last == "name" || last == "socket" || last == "socket_mode";
}

}  // namespace waypost
