#include "routing/audit.h"

#include <algorithm>
#include <array>

#include "core/base/ascii.h"
#include "parser/wire/fields.h"

namespace waypost {
namespace {

// What stands in a function's source that may set what cannot be listed: the same as MaySetUnlisted().
constexpr std::string_view kUnlistedPattern =
    R"(set_config(?!\s*\(\s*'[^'.]*'\s*,)|setseed|\mexecute\M|\mload\M|\mset\s+((session|local)\s+)?("[^"]*"|[a-z_][a-z0-9_$]*)\s*\.)";

std::string Quoted(std::string_view text) {
  std::string quoted = "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsWord(char c) {
  c = AsciiLower(c);
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// The text from a place on, in lower case, word by word.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}
  // The next word; empty at the end.
  std::string_view Next() {
    while (at_ < text_.size() && !IsWord(text_[at_])) ++at_;
    const auto from = at_;
    while (at_ < text_.size() && IsWord(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }
  // What follows the last word.
  [[nodiscard]] std::string_view Rest() const { return text_.substr(at_); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

bool Same(std::string_view word, std::string_view lower) {
  return word.size() == lower.size() &&
         std::equal(word.begin(), word.end(), lower.begin(), [](char a, char b) { return AsciiLower(a) == b; });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  return text;
}

// Behind "set_config": (' and a plain name.
bool NamesPlainSetting(std::string_view rest) {
  rest = Trimmed(rest);
  if (!rest.starts_with('(')) return false;
  rest = Trimmed(rest.substr(1));
  if (!rest.starts_with('\'')) return false;
  const auto end = rest.find('\'', 1);
  return end != std::string_view::npos && rest.substr(0, end).find('.') == std::string_view::npos &&
         Trimmed(rest.substr(end + 1)).starts_with(',');
}

// Behind "set": a name of two parts.
bool NamesQualifiedSetting(std::string_view rest) {
  rest = Trimmed(rest);
  for (const std::string_view scope : {"session", "local"})
    if (rest.size() > scope.size() && Same(rest.substr(0, scope.size()), scope) && IsSpace(rest[scope.size()]))
      rest = Trimmed(rest.substr(scope.size()));
  if (rest.starts_with('"')) {
    const auto end = rest.find('"', 1);
    return end != std::string_view::npos && Trimmed(rest.substr(end + 1)).starts_with('.');
  }
  const auto end = std::find_if_not(rest.begin(), rest.end(), IsWord) - rest.begin();
  return end > 0 && Trimmed(rest.substr(static_cast<std::size_t>(end))).starts_with('.');
}

}  // namespace

bool AuditReport::Says(std::string_view name) const {
  const auto at = std::lower_bound(settings.begin(), settings.end(), name,
                                   [](const auto& setting, std::string_view wanted) { return setting.first < wanted; });
  return at != settings.end() && at->first == name;
}

std::string AuditSql(AuditScope scope, std::string_view own_prefix) {
  const auto row = [](std::string_view kind, std::string_view where) {
    return "SELECT '" + std::string(kind) + "'::text, ''::text, ''::text WHERE EXISTS (SELECT FROM pg_catalog." +
           std::string(where) + ")";
  };
  static constexpr std::string_view kUnion = " UNION ALL ";
  std::string sql = row("t",
                        "pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass"
                        " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()");
  sql += kUnion;
  sql += row("l",
             "pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=)"
             " pg_catalog.pg_backend_pid()");
  sql += kUnion;
  sql += row("n", "pg_listening_channels()");
  sql += kUnion;
  sql += row("c", "pg_cursors WHERE is_holdable");
  sql += kUnion;
  sql += row("p", "pg_prepared_statements WHERE NOT pg_catalog.starts_with(name, " + Quoted(own_prefix) + ")");
  if (scope == AuditScope::kObjects) return sql;
  sql += kUnion;
  sql +=
      "SELECT 's', pg_catalog.lower(name), setting FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=)"
      " 'session' AND NOT pg_catalog.starts_with(name, 'transaction_')";
  for (const std::string_view name : {"role", "session_authorization"}) {
    sql += kUnion;
    sql += "SELECT 's', '" + std::string(name) + "', pg_catalog.current_setting('" + std::string(name) + "')";
  }
  sql += kUnion;
  // What extensions bring is taken at its word, and so are compiled functions.
  sql += row("x",
             "pg_proc p JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang"
             " WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"
             " AND l.lanname::text OPERATOR(pg_catalog.<>) 'c' AND l.lanname::text OPERATOR(pg_catalog.<>) 'internal'"
             " AND (p.prosrc || coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), '')) OPERATOR(pg_catalog.~*) " +
                 Quoted(kUnlistedPattern) +
                 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=)"
                 " 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid"
                 " AND d.deptype OPERATOR(pg_catalog.=) 'e'::\"char\")");
  return sql;
}

bool AddAuditRow(AuditReport& report, Bytes row) {
  Fields fields(row);
  if (fields.U16() != 3) return false;
  std::array<std::string_view, 3> values;
  for (auto& value : values) {
    const auto length = fields.U32();
    constexpr std::uint32_t kNull = 0xFFFFFFFF;
    if (fields.ok() && length != kNull) value = AsText(fields.Take(length));
  }
  if (!fields.ok() || values[0].size() != 1) return false;
  switch (values[0].front()) {
    case 't': report.temporary = true; return true;
    case 'l': report.lock = true; return true;
    case 'n': report.listening = true; return true;
    case 'c': report.cursor = true; return true;
    case 'p': report.prepared = true; return true;
    case 'x': report.unlisted = true; return true;
    case 's': break;
    default: return false;
  }
  auto& settings = report.settings;
  const auto at = std::lower_bound(settings.begin(), settings.end(), values[1],
                                   [](const auto& setting, std::string_view name) { return setting.first < name; });
  settings.emplace(at, values[1], values[2]);
  return true;
}

PinReason PinOf(const AuditReport& report) {
  if (report.temporary) return PinReason::kTemporaryTable;
  if (report.listening) return PinReason::kListen;
  if (report.cursor) return PinReason::kHoldCursor;
  if (report.lock) return PinReason::kAdvisoryLock;
  if (report.prepared) return PinReason::kSqlPrepare;
  return report.unlisted ? PinReason::kUnknownState : PinReason::kNone;
}

Settings Adopted(SettingTable& table, const Settings& believed, const AuditReport& report, std::string_view user) {
  SettingSet set;
  for (const auto& [name, value] : report.settings) {
    const bool none = (name == "role" && value == "none") || (name == "session_authorization" && value == user);
    if (!none) set.push_back(StartupSetting(name, value));
  }
  // The server does not list settings with a dot.
  for (const auto& setting : *believed)
    if (setting.name.find('.') != std::string::npos && !report.Says(setting.name)) set.push_back(setting);
  return table.Intern(std::move(set));
}

bool MaySetUnlisted(std::string_view sql) {
  Words words(sql);
  for (auto word = words.Next(); !word.empty(); word = words.Next()) {
    if (Same(word, "setseed") || Same(word, "execute") || Same(word, "load")) return true;
    if (Same(word, "set_config") && !NamesPlainSetting(words.Rest())) return true;
    if (Same(word, "set") && NamesQualifiedSetting(words.Rest())) return true;
  }
  return false;
}

}  // namespace waypost
