// Whether others could read the secrets that stand in the configuration file. Looks at the file's mode; reads nothing.
#pragma once

#include <string>
#include <vector>

#include "core/config/values.h"

namespace waypost {

// What is wrong with the mode of `path`, whose text has these `values`, and what was expected; empty: nothing is, no secret stands
// in it, or there is no such file. As with the key of a certificate, a group may read a file that root owns.
[[nodiscard]] std::string WhyExposed(const std::string& path, const std::vector<ConfigValue>& values);

}  // namespace waypost
