// TOML text as plain values with line numbers. toml++ costs seconds to compile and stays behind
// this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.h"

namespace waypost {

struct TomlEntry;

struct TomlTable {
  std::vector<TomlEntry> entries;
};

struct TomlValue;

struct TomlArray {
  std::vector<TomlValue> items;
};

// What the configuration never uses: "a date or time".
struct TomlOther {
  std::string what;
};

struct TomlValue {
  std::variant<std::string, std::int64_t, double, bool, TomlTable, TomlArray, TomlOther> value;
  unsigned line = 0;
};

struct TomlEntry {
  std::string key;
  TomlValue value;
};

// The root table. The error is "PATH:LINE: not valid TOML: ...".
[[nodiscard]] Result<TomlTable> ParseToml(std::string_view text, const std::string& path);

}  // namespace waypost
