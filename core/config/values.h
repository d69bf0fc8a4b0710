// What a configuration file says, key by key, with where it says so: for people who ask what is in force, and what a reload
// would change. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace waypost {

struct ConfigValue {
  std::string key;      // "pool.max_size", "server.pg0.weight", "user.app.password"
  std::string json;     // the value, as JSON
  unsigned line = 0;    // of the file; 0: it is not there, this is the default
  bool secret = false;  // not to be shown
};

// Of a file's text, in its order; then the defaults of the keys it does not have. Only what stands in the file counts, not what
// variables or other files that it names contain.
[[nodiscard]] Result<std::vector<ConfigValue>> ConfigValues(std::string_view text, const std::string& path);

struct ConfigChange {
  std::string key, before, after;  // JSON; "null": it is not there; secrets are "\"***\""
};
[[nodiscard]] std::vector<ConfigChange> ConfigChanges(const std::vector<ConfigValue>& before,
                                                      const std::vector<ConfigValue>& after);

// True if a running process cannot take over a change of `key`.
[[nodiscard]] bool NeedsRestart(std::string_view key);

// What may be shown of it, as JSON.
[[nodiscard]] std::string ShownJson(const ConfigValue& value);

// deploy/waypost.toml, whose keys have their defaults.
[[nodiscard]] std::string_view ExampleConfig();

}  // namespace waypost
