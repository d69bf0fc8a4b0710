#include "core/config/values.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/config/toml.h"

namespace waypost {
namespace {

using nlohmann::json;

// Of which there may be several.
constexpr std::array<std::string_view, 6> kLists = {"listen", "server", "user", "database", "application", "rule"};
constexpr std::size_t kKeysNamed = 20;

std::string_view LastOf(std::string_view key) { return key.substr(key.rfind('.') + 1); }

bool IsSecret(std::string_view key) {
  const auto last = LastOf(key);
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

// "server" of "server.pg0.weight"; empty: there is one table of it only.
std::string_view ListOf(std::string_view key) {
  const auto list = std::find_if(kLists.begin(), kLists.end(), [&](std::string_view name) {
    return key.starts_with(name) && key.substr(name.size()).starts_with('.');
  });
  return list == kLists.end() ? std::string_view() : *list;
}

// It is one value, which stands in [limits] or at a listener.
bool IsMaxClients(std::string_view key) {
  return LastOf(key) == "max_clients" && (key.starts_with("limits.") || key.starts_with("listen."));
}

// What the example says of them is an example.
bool IsExample(std::string_view key) {
  const auto last = LastOf(key);
  return key == "monitor.user" || last == "password" || last == "name" || (key.starts_with("server.") && last == "host");
}

// "listen.", "server.pg0.": the tables of lists, in their order.
std::vector<std::string> TablesOf(const std::vector<ConfigValue>& values) {
  std::set<std::string> known;
  std::vector<std::string> tables;
  for (const auto& value : values)
    if (auto table = value.key.substr(0, value.key.rfind('.') + 1); !ListOf(table).empty() && known.insert(table).second)
      tables.push_back(std::move(table));
  return tables;
}

const ConfigValue* Find(const std::vector<ConfigValue>& values, const std::function<bool(std::string_view)>& is) {
  const auto at = std::find_if(values.begin(), values.end(), [&](const auto& value) { return is(value.key); });
  return at == values.end() ? nullptr : &*at;
}

// Those of `defaults` that `values` lacks: once, or for each table of its list.
void AddDefaults(const std::vector<ConfigValue>& defaults, std::vector<ConfigValue>& values) {
  auto tables = TablesOf(values);
  if (std::none_of(tables.begin(), tables.end(), [](const auto& table) { return table.starts_with("listen."); }))
    tables.emplace_back("listen.");
  const bool limited = Find(values, IsMaxClients) != nullptr;
  std::set<std::string> known;
  for (const auto& value : values) known.insert(value.key);
  const auto add = [&](const ConfigValue& value, std::string key) {
    if (known.insert(key).second) values.push_back({std::move(key), value.json, 0, value.secret});
  };
  for (const auto& one : defaults) {
    if (IsExample(one.key)) continue;
    const auto list = ListOf(one.key);
    if (IsMaxClients(one.key)) {
      if (!limited) add(one, one.key);
    } else if (list.empty()) {
      add(one, one.key);
    } else {
      for (const auto& table : tables)
        if (ListOf(table) == list) add(one, table + std::string(LastOf(one.key)));
    }
  }
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
  AddDefaults(defaults, values);
  return values;
}

std::vector<ConfigValue> ValuesOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto values = ConfigValues(text, path);
  return values ? std::move(*values) : std::vector<ConfigValue>();
}

std::string ShownJson(const ConfigValue& value) { return value.secret ? "\"***\"" : value.json; }

std::vector<ConfigChange> ConfigChanges(const std::vector<ConfigValue>& before, const std::vector<ConfigValue>& after) {
  std::map<std::string_view, std::pair<const ConfigValue*, const ConfigValue*>> both;
  for (const auto& value : before) both[value.key].first = &value;
  for (const auto& value : after) both[value.key].second = &value;
  std::vector<ConfigChange> changes;
  for (const auto& [key, pair] : both) {
    auto [was, is] = pair;
    if (IsMaxClients(key)) {
      if (is == nullptr) continue;  // it has another name now
      if (was == nullptr) was = Find(before, IsMaxClients);
    }
    const bool same = was != nullptr && is != nullptr && was->json == is->json;
    // The default of a table that comes or goes.
    const bool follows = (was == nullptr || is == nullptr) && (was != nullptr ? was : is)->line == 0;
    if (same || follows) continue;
    changes.push_back({std::string(key), was != nullptr ? ShownJson(*was) : "null", is != nullptr ? ShownJson(*is) : "null"});
  }
  return changes;
}

std::string ChangedKeys(const std::vector<ConfigChange>& changes) {
  auto text = std::to_string(changes.size()) + (changes.size() == 1 ? " key changed" : " keys changed");
  for (std::size_t i = 0; i < std::min(changes.size(), kKeysNamed); ++i) text += (i == 0 ? ": " : ", ") + changes[i].key;
  return changes.size() > kKeysNamed ? text + " ..." : text;
}

bool NeedsRestart(std::string_view key) {
  if (key.starts_with("admin.webhook") || key == "admin.console_admins" || key == "admin.console_viewers") return false;
  if (key == "workers" || key == "cluster.state_file" || key.starts_with("admin.")) return true;
  if (!key.starts_with("listen.")) return false;
  const auto last = LastOf(key);
  return last == "address" || last == "port" || last == "name" || last == "socket" || last == "socket_mode";
}

}  // namespace waypost
