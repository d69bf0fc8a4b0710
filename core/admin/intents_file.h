// What the operator wants of the servers, over restarts: a small file of JSON beside [cluster] state_file.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "routing/intents.h"

namespace waypost {

// The form of the file; and what stands in one. The error says what is wrong.
[[nodiscard]] std::string FormatIntents(const Intents& intents);
[[nodiscard]] Result<Intents> ParseIntents(std::string_view text);

// Empty if there is no such file. The error names the path.
[[nodiscard]] Result<Intents> ReadIntents(const std::string& path);
// Whole or not at all, and on disk when it returns.
[[nodiscard]] Result<bool> SaveIntents(const std::string& path, const Intents& intents);

}  // namespace waypost
