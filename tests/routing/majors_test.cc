#include "routing/majors.h"

#include <catch2/catch.hpp>

namespace waypost {

TEST_CASE("a server of a major that Waypost was not tried on is remarked on", "[routing][majors]") {
  const auto [version, remark] = GENERATE(table<int, const char*>({
      {120022, "older than PostgreSQL 13, the oldest that Waypost was tested with"},
      {130000, ""},
      {150012, ""},
      {180006, ""},
      {189999, ""},
      {190000, "newer than any version that this Waypost was tested with; it is used like PostgreSQL 18"},
      {250003, "newer than any version that this Waypost was tested with; it is used like PostgreSQL 18"},
  }));
  CAPTURE(version);
  CHECK(RemarkOnVersion(version) == remark);
}

}  // namespace waypost
