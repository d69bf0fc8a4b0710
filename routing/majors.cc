#include "routing/majors.h"

namespace waypost {

std::string RemarkOnVersion(int version) {
  constexpr int kOfMajor = 10'000;
  const int major = version / kOfMajor;
  if (major > kNewestMajor)
    return "newer than any version that this Waypost was tested with; it is used like PostgreSQL " + std::to_string(kNewestMajor);
  if (major < kOldestMajor)
    return "older than PostgreSQL " + std::to_string(kOldestMajor) + ", the oldest that Waypost was tested with";
  return "";
}

}  // namespace waypost
