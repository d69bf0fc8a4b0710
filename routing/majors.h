// Which majors of PostgreSQL Waypost was tried on. Nothing is decided by it: what a server can do is asked of the server.
// Pure.
#pragma once

#include <string>

namespace waypost {

inline constexpr int kOldestMajor = 13, kNewestMajor = 18;

// `version` as in server_version_num: 180001. What an administrator should know of a server of that major; "": nothing.
[[nodiscard]] std::string RemarkOnVersion(int version);

}  // namespace waypost
