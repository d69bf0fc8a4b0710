#include "routing/transaction_defaults.h"

#include <optional>
#include <string>
#include <string_view>

#include "core/base/ascii.h"
#include "parser/sql/set_statement.h"

namespace waypost {

TransactionDefaults TransactionDefaultsIn(const SettingSet& settings, bool starts_read_committed) {
  TransactionDefaults defaults{.read_committed = starts_read_committed};
  if (const auto* isolation = FindSetting(settings, "default_transaction_isolation")) {
    const auto value = ValueSet(isolation->name, isolation->sql);
    const auto level = AsciiLower(value.value_or("serializable"));
    defaults.serializable = level == "serializable";
    // PostgreSQL's READ UNCOMMITTED is the same.
    defaults.read_committed = level == "read committed" || level == "read uncommitted";
  }
  if (const auto* read_only = FindSetting(settings, "default_transaction_read_only")) {
    const auto value = ValueSet(read_only->name, read_only->sql);
    defaults.read_only = value && ParseBool(*value).value_or(false);
  }
  return defaults;
}

}  // namespace waypost
