#include "core/config/exposure.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace waypost {

std::string WhyExposed(const std::string& path, const std::vector<ConfigValue>& values) {
  const auto secret =
      std::find_if(values.begin(), values.end(), [](const auto& value) { return value.secret && value.line > 0; });
  struct stat facts{};
  if (secret == values.end() || stat(path.c_str(), &facts) != 0) return {};
  const mode_t forbidden = facts.st_uid == 0 ? S_IWGRP | S_IRWXO : S_IRWXG | S_IRWXO;
  if ((facts.st_mode & forbidden) == 0) return {};
  std::array<char, 8> mode{};
  (void)std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(facts.st_mode & 07777U));
  return "found mode " + std::string(mode.data()) + ", and " + secret->key +
         " stands in the file; expected 0600, or 0640 if root owns it";
}

}  // namespace waypost
