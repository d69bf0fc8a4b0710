// Which majors of PostgreSQL Waypost was tested with. Nothing depends on it: Waypost asks each server what it can do.
// Pure.
#pragma once

#include <string>

namespace waypost {

inline constexpr int kOldestMajor = 13, kNewestMajor = 18;

// `version` as in server_version_num: 180001. What an administrator should know about that major; "": nothing.
[[nodiscard]] std::string RemarkOnVersion(int version);

}  // namespace waypost
