// synchronous_standby_names, read as PostgreSQL reads it. Pure.
// Source: postgres src/backend/replication/syncrep_gram.y, syncrep_scanner.l
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

struct StandbyNames {
  bool quorum = false;  // ANY n (...): any n of them; otherwise the first n that are connected
  unsigned count = 0;   // how many must confirm a commit; 0: no synchronous replication
  std::vector<std::string> names;  // as written, "*" for any; compared without regard to case

  // True if every standby that is named must confirm, so that none that is connected can be left
  // out.
  [[nodiscard]] bool AllConfirm() const;
  [[nodiscard]] bool Lists(std::string_view application_name) const;
};

// Nothing if `text` is not what PostgreSQL accepts. An empty text is count 0.
[[nodiscard]] std::optional<StandbyNames> ParseStandbyNames(std::string_view text);

}  // namespace waypost
