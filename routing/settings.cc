#include "routing/settings.h"

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_map>
#include <utility>

#include "core/base/ascii.h"
#include "parser/sql/set_statement.h"

namespace waypost {
namespace {

// E'' quoting holds whatever standard_conforming_strings is set to.
std::string Quote(std::string_view text) {
  std::string quoted = "E'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

// Who runs the statements must change last.
int Order(const Setting& setting) {
  if (setting.name == "session_authorization") return 1;
  return setting.name == "role" ? 2 : 0;
}

std::string ResetSql(const std::string& name) {
  if (name == "session_authorization") return "RESET SESSION AUTHORIZATION";
  std::string quoted = "RESET \"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  // A name with a dot is a class and a name: RESET "myapp"."user".
  if (const auto dot = quoted.find('.'); dot != std::string::npos) quoted.replace(dot, 1, "\".\"");
  return quoted + "\"";
}

std::size_t HashOf(const SettingSet& set) {
  constexpr std::size_t kOdd = 0x9e3779b97f4a7c15U;
  const std::hash<std::string_view> hash;
  std::size_t all = set.size();
  for (const auto& setting : set) all = ((all * kOdd) ^ hash(setting.name)) * kOdd + hash(setting.sql);
  return all;
}

// Of what is known by its name alone, no more than a bound: a set is sorted, so that equal sets stay equal.
void BoundPlaceholders(SettingSet& set) {
  std::size_t kept = 0;
  std::erase_if(set, [&](const Setting& setting) { return IsPlaceholder(setting) && ++kept > kMaxPlaceholders; });
}

void Add(std::string& sql, const std::string& statement) {
  if (!sql.empty()) sql += ';';
  sql += statement;
}

constexpr std::string_view kResetQuoted = "RESET \"";

}  // namespace

bool LeavesPlaceholder(std::string_view name) {
  constexpr std::size_t kLongest = 63 + 1 + 63;  // two identifiers
  return name.size() <= kLongest && name.find('.') != std::string_view::npos;
}

Setting Placeholder(std::string_view name) { return {std::string(name), ResetSql(std::string(name))}; }

bool IsPlaceholder(const Setting& setting) { return setting.sql.starts_with(kResetQuoted); }

std::size_t BytesOf(const SettingSet& set) {
  std::size_t bytes = 0;
  for (const auto& setting : set) bytes += sizeof(Setting) + setting.name.size() + setting.sql.size();
  return bytes;
}

SettingTable::SettingTable() : none_(std::make_shared<const SettingSet>()) {}

Settings SettingTable::Intern(SettingSet set) {
  std::stable_sort(set.begin(), set.end(), [](const Setting& a, const Setting& b) { return a.name < b.name; });
  SettingSet unique;
  for (auto& setting : set) {
    if (!unique.empty() && unique.back().name == setting.name) unique.back() = std::move(setting);
    else unique.push_back(std::move(setting));
  }
  BoundPlaceholders(unique);
  if (unique.empty()) return none_;
  const auto hash = HashOf(unique);
  if (auto found = sets_.Find(hash, [&](const SettingSet& other) { return other == unique; })) return found;
  auto interned = std::make_shared<const SettingSet>(std::move(unique));
  sets_.Keep(hash, interned);
  return interned;
}

Settings SettingTable::With(const Settings& base, Setting setting) {
  auto set = *base;
  set.push_back(std::move(setting));
  return Intern(std::move(set));
}

Settings SettingTable::With(const Settings& base, const std::vector<SettingChange>& changes) {
  if (changes.empty()) return base;
  std::unordered_map<std::string_view, const SettingChange*> last;
  for (const auto& change : changes) last[change.name] = &change;
  SettingSet set;
  for (const auto& setting : *base)
    if (!last.contains(setting.name)) set.push_back(setting);
  for (const auto& [name, change] : last)
    if (change->sql) set.push_back({std::string(name), *change->sql});
  return Intern(std::move(set));
}

Settings SettingTable::Reset(const Settings& base, std::string_view name, const Settings& startup) {
  auto set = *base;
  std::erase_if(set, [&](const Setting& setting) { return setting.name == name; });
  if (const auto* initial = FindSetting(*startup, name)) set.push_back(*initial);
  else if (LeavesPlaceholder(name)) set.push_back(Placeholder(name));
  return Intern(std::move(set));
}

Settings SettingTable::Filled(const Settings& base, const Settings& startup) {
  auto set = *startup;
  set.insert(set.end(), base->begin(), base->end());
  return Intern(std::move(set));
}

Settings SettingTable::WithParsing(const Settings& base, const Settings& parsing) {
  auto set = *base;
  std::erase_if(set, [](const Setting& setting) { return MattersToParsing(setting.name); });
  set.insert(set.end(), parsing->begin(), parsing->end());
  return Intern(std::move(set));
}

Settings SettingTable::ForParsing(const Settings& base) {
  const auto left_out = [](const Setting& setting) {
    return setting.sql.empty() || IsPlaceholder(setting) || !MattersToParsing(setting.name);
  };
  if (std::none_of(base->begin(), base->end(), left_out)) return base;
  auto set = *base;
  std::erase_if(set, left_out);
  return Intern(std::move(set));
}

std::string Difference(const SettingSet& from, const SettingSet& to) {
  std::string sql;
  if (&from == &to) return sql;
  // A role that goes away goes first: what follows may need the rights of the login user.
  for (const char* name : {"role", "session_authorization"}) {
    const auto* old = FindSetting(from, name);
    const auto* next = FindSetting(to, name);
    if (old != nullptr && (next == nullptr || !(*next == *old))) Add(sql, ResetSql(name));
  }
  for (const auto& old : from)
    if (Order(old) == 0 && !IsPlaceholder(old) && FindSetting(to, old.name) == nullptr) Add(sql, ResetSql(old.name));
  // A change of the session's user takes the role along.
  const auto same = [&](const Setting& setting) {
    const auto* old = FindSetting(from, setting.name);
    return old != nullptr && *old == setting;
  };
  const auto* user = FindSetting(to, "session_authorization");
  const bool user_stays = user == nullptr ? FindSetting(from, "session_authorization") == nullptr : same(*user);
  const auto left_out = [&](const Setting& setting) {
    return IsPlaceholder(setting) && FindSetting(from, setting.name) == nullptr;
  };
  for (const int order : {0, 1, 2}) {
    for (const auto& setting : to)
      if (Order(setting) == order && (!same(setting) || (order == 2 && !user_stays)) && !left_out(setting)) Add(sql, setting.sql);
  }
  return sql;
}

std::vector<std::string> MissingPlaceholders(const SettingSet& from, const SettingSet& to) {
  std::vector<std::string> each;
  for (const auto& setting : to)
    if (IsPlaceholder(setting) && FindSetting(from, setting.name) == nullptr) each.push_back(setting.sql);
  return each;
}

Setting StartupSetting(std::string_view name, std::string_view value) {
  Setting setting;
  const auto lower = AsciiLower(name);
  setting.name = CanonicalSetting(lower);
  setting.sql = SetStatementShownAs(lower, value);
  if (setting.sql.empty()) setting.sql = "SELECT pg_catalog.set_config(" + Quote(name) + "," + Quote(value) + ",false)";
  return setting;
}

std::string FullDateStyle(std::string_view base, std::string_view change) {
  std::string_view style = "ISO", order = "MDY";
  for (const auto text : {base, change}) {
    bool ordered = false;
    const auto read = [&](const std::string& word) {
      const auto set_order = [&](std::string_view named) {
        order = named;
        ordered = true;
      };
      if (word == "iso") style = "ISO";
      else if (word == "sql") style = "SQL";
      else if (word.starts_with("postgres")) style = "Postgres";
      else if (word == "german") style = "German";
      else if (word == "ymd") set_order("YMD");
      else if (word == "dmy" || word.starts_with("euro")) set_order("DMY");
      else if (word == "mdy" || word == "us" || word.starts_with("noneuro")) set_order("MDY");
      return word == "german";
    };
    std::string word;
    bool german = false;
    for (const char c : AsciiLower(text) + ' ') {
      if (c >= 'a' && c <= 'z') {
        word += c;
        continue;
      }
      german = read(word) || german;
      word.clear();
    }
    if (german && !ordered) order = "DMY";
  }
  return std::string(style) + ", " + std::string(order);
}

std::string_view CanonicalSetting(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kOld = {
      {{"sort_mem", "work_mem"}, {"vacuum_mem", "maintenance_work_mem"}, {"debug_parallel_query", "force_parallel_mode"}}};
  for (const auto& [old, now] : kOld)
    if (old == name) return now;
  return name;
}

bool MattersToParsing(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNever = {
      "application_name",        "client_min_messages", "idle_in_transaction_session_timeout",
      "idle_session_timeout",    "lock_timeout",        "log_min_duration_statement",
      "log_min_error_statement", "log_statement",       "role",
      "session_authorization",   "statement_timeout",   "transaction_timeout"};
  return std::find(kNever.begin(), kNever.end(), name) == kNever.end();
}

std::string AsLocal(std::string_view sql) {
  constexpr std::string_view kSet = "SET ", kCallEnd = ",false)";
  if (sql.starts_with(kSet)) return "SET LOCAL " + std::string(sql.substr(kSet.size()));
  if (sql.ends_with(kCallEnd)) sql.remove_suffix(kCallEnd.size());
  return std::string(sql) + ",true)";
}

const Setting* FindSetting(const SettingSet& set, std::string_view name) {
  const auto found = std::lower_bound(set.begin(), set.end(), name,
                                      [](const Setting& setting, std::string_view wanted) { return setting.name < wanted; });
  return found != set.end() && found->name == name ? &*found : nullptr;
}

}  // namespace waypost
