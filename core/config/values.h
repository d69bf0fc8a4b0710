// What a configuration file says, key by key, with where it says so: for people who ask what is in force, and what a reload
// would change. Pure, but for ValuesOf().
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

// Of a file's text, in its order; then the defaults of the keys it does not have, of each listener, server and user as well. Only
// what stands in the file counts, not what variables or other files that it names contain.
[[nodiscard]] Result<std::vector<ConfigValue>> ConfigValues(std::string_view text, const std::string& path);

struct ConfigChange {
  std::string key, before, after;  // JSON; "null": it is not there, and has no default; secrets are "\"***\""
};
// A default that takes over, or gives way, is there; the defaults of a whole table that comes or goes are not.
[[nodiscard]] std::vector<ConfigChange> ConfigChanges(const std::vector<ConfigValue>& before,
                                                      const std::vector<ConfigValue>& after);

// "2 keys changed: digests.max, pool.mode"; of many, the first ones.
[[nodiscard]] std::string ChangedKeys(const std::vector<ConfigChange>& changes);

// True if a running process cannot take over a change of `key`.
[[nodiscard]] bool NeedsRestart(std::string_view key);

// The same of the file `path`; empty if it cannot be read, or is none.
[[nodiscard]] std::vector<ConfigValue> ValuesOf(const std::string& path);

// What may be shown of it, as JSON.
[[nodiscard]] std::string ShownJson(const ConfigValue& value);

// deploy/waypost.toml, whose keys have their defaults.
[[nodiscard]] std::string_view ExampleConfig();

}  // namespace waypost
