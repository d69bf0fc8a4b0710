// Which user of the system may log in as which user of PostgreSQL: a file in the format of PostgreSQL's pg_ident.conf, for the
// option map= of pg_hba.conf. Pure.
// Source: postgres src/backend/libpq/hba.c, parse_ident_line() and check_usermap()
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace waypost {

class IdentMap {
 public:
  // The faults of all lines, one a line: "LINE: what was found, what was expected". As PostgreSQL 16 reads it: "all" as the last word
  // is every user. Regular expressions and roles' members are faults.
  [[nodiscard]] static Result<IdentMap> Read(std::string_view file);

  // Whether who is `system_user` to the system may be `user`. Without the name of a map: if both are the same.
  [[nodiscard]] bool Lets(std::string_view map, std::string_view system_user, std::string_view user) const;

  bool operator==(const IdentMap&) const = default;

 private:
  struct Entry {
    std::string map, system_user, user;
    bool every_user = false;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries_;
};

}  // namespace waypost
