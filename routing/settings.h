// The settings of a session and of a server connection, and the SQL that turns one into the other. Pure.
// A set is immutable and shared: two sessions with equal settings hold the same one (SettingTable), so that comparing is
// comparing pointers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/weak_table.h"

namespace waypost {

// One setting and a statement that makes it so on any connection, e.g. "SET datestyle TO 'ISO'".
struct Setting {
  std::string name;  // lower case; "role" and "session_authorization" are settings too
  std::string sql;
  bool operator==(const Setting&) const = default;
};

// What becomes of one; no `sql`: it is not set any more.
struct SettingChange {
  std::string_view name;
  std::optional<std::string> sql;
};

using SettingSet = std::vector<Setting>;  // sorted by name
using Settings = std::shared_ptr<const SettingSet>;

// A setting with a dot that PostgreSQL knows by its name alone: it was set once, be it for a transaction that is over, or reset.
// From then on its value is '', where before there was none (NULL, or 42704). Its `sql` makes it so where nobody has set it.
// At most kMaxPlaceholders of one set are kept.
inline constexpr std::size_t kMaxPlaceholders = 64;
// True if PostgreSQL would keep such a name; not if it is longer than SET can write one.
[[nodiscard]] bool LeavesPlaceholder(std::string_view name);
[[nodiscard]] Setting Placeholder(std::string_view name);
[[nodiscard]] bool IsPlaceholder(const Setting& setting);

// The memory that it takes, texts included.
[[nodiscard]] std::size_t BytesOf(const SettingSet& set);

// Interns setting sets, each of which is gone with its last user. One per worker.
class SettingTable {
 public:
  SettingTable();
  // The set without any setting: what a fresh server connection has.
  [[nodiscard]] const Settings& None() const { return none_; }
  // The one shared set that equals `set`, which need not be sorted (of two settings of one name the later counts).
  [[nodiscard]] Settings Intern(SettingSet set);
  [[nodiscard]] Settings With(const Settings& base, Setting setting);
  // `base` behind all of `changes`, of which the last of a name counts. Takes as long as both are long.
  [[nodiscard]] Settings With(const Settings& base, const std::vector<SettingChange>& changes);
  // `base` with `name` as it is in `startup` (if it is not there: not at all, or a placeholder).
  [[nodiscard]] Settings Reset(const Settings& base, std::string_view name, const Settings& startup);
  // `base`, with those of `startup` that it does not have.
  [[nodiscard]] Settings Filled(const Settings& base, const Settings& startup);
  // `base`, with those of `parsing` in place of its own that matter to parsing.
  [[nodiscard]] Settings WithParsing(const Settings& base, const Settings& parsing);
  // Those of `base` that matter to parsing and are known.
  [[nodiscard]] Settings ForParsing(const Settings& base);

 private:
  Settings none_;
  WeakTable<SettingSet> sets_;
};

// The SQL that turns `from` into `to`: RESETs, then settings; session_authorization and role last. Empty if there is
// nothing to do. Placeholders that `from` lacks are left to MissingPlaceholders().
[[nodiscard]] std::string Difference(const SettingSet& from, const SettingSet& to);

// The SQL, one text for each name, that makes what `to` knows by its name alone known on a connection with `from`. Where an extension
// has taken a name for itself since, that one fails, and there is nothing to mend.
[[nodiscard]] std::vector<std::string> MissingPlaceholders(const SettingSet& from, const SettingSet& to);

// What sets `name` to `value` on any connection, whatever both hold; for start-up parameters. A SET, or, where none can say it,
// SELECT pg_catalog.set_config(...).
[[nodiscard]] Setting StartupSetting(std::string_view name, std::string_view value);

// DateStyle is two settings in one, of which each SET may name only one: what `change` makes of `base`, both whole, as the
// server shows it ("ISO, MDY"). Either may be a statement that sets it.
[[nodiscard]] std::string FullDateStyle(std::string_view base, std::string_view change);

// The one name of a setting that PostgreSQL knows by several: map_old_guc_names in guc.c. What it returns is good on every
// version that knows any of them.
[[nodiscard]] std::string_view CanonicalSetting(std::string_view name);

// False for settings under which every text means the same when it is parsed: who runs it (names are looked up again when
// it runs), how long it may take, what is logged.
[[nodiscard]] bool MattersToParsing(std::string_view name);

// `sql`, a Setting's, so that it holds only until the end of the transaction.
[[nodiscard]] std::string AsLocal(std::string_view sql);

// nullptr if there is no setting of that name.
[[nodiscard]] const Setting* FindSetting(const SettingSet& set, std::string_view name);

}  // namespace waypost
