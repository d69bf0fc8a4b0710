// What a session left on a server connection that none of its statements showed: the question to the server, and what
// the answer means. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "parser/sql/verdict.h"
#include "routing/settings.h"

namespace waypost {

enum class AuditScope : std::uint8_t {
  kObjects,     // temporary tables, locks, channels, cursors, prepared statements
  kEverything,  // settings too, and whether functions of the database may have set some that cannot be listed
};

struct AuditReport {
  bool temporary = false, listening = false, cursor = false, lock = false, prepared = false;
  bool unlisted = false;  // "a.b" settings, the random seed: they can be asked for only by name
  std::vector<std::pair<std::string, std::string>> settings;  // set in this session, with their values, by name
  [[nodiscard]] bool Says(std::string_view name) const;
  bool operator==(const AuditReport&) const = default;
};

// One query, which answers with rows for AddAuditRow. `own_prefix`: what the names of our prepared statements begin with.
[[nodiscard]] std::string AuditSql(AuditScope scope, std::string_view own_prefix);

// Takes note of one DataRow. False if it is not one of an audit.
[[nodiscard]] bool AddAuditRow(AuditReport& report, Bytes row);

// Why the session must keep the connection; kNone: there is no reason.
[[nodiscard]] PinReason PinOf(const AuditReport& report);

// What the server connection has set, of what `believed` says that it has. `user`: who logged in.
[[nodiscard]] Settings Adopted(SettingTable& table, const Settings& believed, const AuditReport& report, std::string_view user);

// True if the text of a statement that runs code may set what an audit cannot find: "a.b" settings, the seed, anything by
// dynamic SQL.
[[nodiscard]] bool MaySetUnlisted(std::string_view sql);

}  // namespace waypost
