// What a transaction is like unless it says otherwise itself, by what its session has set. Pure.
#pragma once

#include "routing/settings.h"

namespace waypost {

// What is not known counts as what belongs on the primary: not READ ONLY, SERIALIZABLE.
struct TransactionDefaults {
  bool read_only = false;
  bool serializable = false;
  bool read_committed = false;  // each statement sees its own snapshot

  [[nodiscard]] bool operator==(const TransactionDefaults&) const = default;
};

// `starts_read_committed`: so it is where the session has not set default_transaction_isolation.
[[nodiscard]] TransactionDefaults TransactionDefaultsIn(const SettingSet& settings, bool starts_read_committed);

}  // namespace waypost
