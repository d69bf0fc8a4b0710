// Names of standbys: those that synchronous_standby_names lists, read as PostgreSQL reads it, and the one by which a
// standby calls itself. Pure.
// Source: postgres src/backend/replication/syncrep_gram.y, syncrep_scanner.l; libpqwalreceiver/libpqwalreceiver.c
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

  // True if every standby that is named must confirm, so that no connected one can be left
  // out.
  [[nodiscard]] bool AllConfirm() const;
  [[nodiscard]] bool Lists(std::string_view application_name) const;
};

// Nothing if `text` is not what PostgreSQL accepts. An empty text is count 0.
[[nodiscard]] std::optional<StandbyNames> ParseStandbyNames(std::string_view text);

// The application_name that a standby gives to its primary, from its pg_stat_wal_receiver.conninfo: every option that is
// set, of whatever major, as keyword=value and without quotes. Empty if it says none. As the primary lists it: 63 bytes at
// most.
[[nodiscard]] std::string StandbyNameIn(std::string_view conninfo);

}  // namespace waypost
