// From the tables of the file to a Config that is whole and valid.
#pragma once

#include <string>

#include "core/config/config.h"
#include "core/config/toml.h"

namespace waypost {

// The error is one line a fault, as LoadConfig() says it.
[[nodiscard]] Result<Config> LoadFrom(const TomlTable& root, const std::string& path);

}  // namespace waypost
