// The schemas in which a session looks for names that are not qualified. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waypost {

struct SearchPath {
  // False: unknown; a name then stands for every object of that name in any schema.
  bool known = false;
  // In order, without pg_catalog, which is always searched. Temporary schemas are left out: a
  // session that has one is pinned.
  std::vector<std::string> schemas;

  [[nodiscard]] bool Has(std::string_view schema) const;
  bool operator==(const SearchPath&) const = default;
};

// The value of the setting, as SHOW prints it: "$user", public. `user`: whom "$user" stands for;
// empty: not known, and then the path is not either if it says "$user".
[[nodiscard]] SearchPath ReadSearchPath(std::string_view value, std::string_view user);

// The path that a statement sets: SET search_path TO 'a', 'b', or SELECT
// pg_catalog.set_config('search_path','a, b',false). Not known if it is neither.
[[nodiscard]] SearchPath ReadSearchPathStatement(std::string_view sql, std::string_view user);

}  // namespace waypost
