#include "routing/session_settings.h"

#include <algorithm>

namespace waypost {
namespace {

using Kind = SettingEffect::Kind;

constexpr std::string_view kRole = "role";
constexpr std::string_view kUser = "session_authorization";
constexpr std::string_view kLocal = "SET LOCAL ";
constexpr std::string_view kBack = "RESET ";  // a SET LOCAL ... TO DEFAULT: whatever holds without it

bool IsWho(std::string_view name) { return name == kRole || name == kUser; }

// Who sets the session's user gives up the role, who resets it goes back to that of the start: set_config_option() of "role"
// in guc.c, since the minor releases of November 2024; before, what was in force was the same.
Setting NoRole() { return {std::string(kRole), "SET role TO 'none'"}; }

// The SQL of a SET LOCAL, as a Setting keeps it.
std::string AsSession(const std::string& sql) { return sql.starts_with(kLocal) ? "SET " + sql.substr(kLocal.size()) : sql; }

SettingSet WithoutName(const SettingSet& set, std::string_view name) {
  SettingSet left;
  for (const auto& setting : set)
    if (setting.name != name) left.push_back(setting);
  return left;
}

// What RESET ALL and DISCARD ALL leave of settings with a dot that were set since the start: their names.
void AppendPlaceholders(const SettingSet& set, const SettingSet& startup, SettingSet& out) {
  for (const auto& setting : set)
    if (LeavesPlaceholder(setting.name) && FindSetting(startup, setting.name) == nullptr)
      out.push_back(Placeholder(setting.name));
}

// Without a role, if none was asked for at start-up: then no role is what there is.
SettingSet WithoutRole(const SettingSet& set, const SettingSet& startup) {
  auto left = WithoutName(set, kRole);
  if (FindSetting(startup, kRole) != nullptr) left.push_back(NoRole());
  return left;
}

}  // namespace

Settings AfterEffect(SettingTable& table, const Settings& set, const SettingEffect& effect, const Settings& startup) {
  const auto name = CanonicalSetting(effect.name);
  Settings after = set;
  switch (effect.kind) {
    case Kind::kSet: after = table.With(set, {std::string(name), effect.sql}); break;
    case Kind::kReset: after = table.Reset(set, name, startup); break;
    case Kind::kResetAll: {  // leaves alone who runs the statements
      SettingSet all;
      for (const auto& setting : *set)
        if (IsWho(setting.name)) all.push_back(setting);
      for (const auto& setting : *startup)
        if (!IsWho(setting.name)) all.push_back(setting);
      AppendPlaceholders(*set, *startup, all);
      return table.Intern(std::move(all));
    }
    case Kind::kDiscardAll: {
      SettingSet names;
      AppendPlaceholders(*set, *startup, names);
      return names.empty() ? startup : table.Filled(table.Intern(std::move(names)), startup);
    }
    case Kind::kSetLocal:
    case Kind::kResetLocal:
    case Kind::kUnknownLocal:
    case Kind::kTransaction: return set;
  }
  if (name != kUser) return after;
  return effect.kind == Kind::kReset ? table.Reset(after, kRole, startup) : table.Intern(WithoutRole(*after, *startup));
}

bool ChangesOneSetting(const SettingEffect& effect) {
  switch (effect.kind) {
    case Kind::kSet:
    case Kind::kReset:
    case Kind::kSetLocal:
    case Kind::kResetLocal:
    case Kind::kUnknownLocal: return CanonicalSetting(effect.name) != kUser;
    case Kind::kResetAll:
    case Kind::kDiscardAll:
    case Kind::kTransaction: return false;
  }
  return false;
}

Settings AfterEffects(SettingTable& table, const Settings& set, std::span<const SettingEffect> effects, const Settings& startup) {
  std::vector<SettingChange> changes;
  for (const auto& effect : effects) {
    const auto name = CanonicalSetting(effect.name);
    if (effect.kind == Kind::kSet) {
      changes.push_back({name, effect.sql});
    } else if (effect.kind == Kind::kReset) {
      const auto* initial = FindSetting(*startup, name);
      if (initial != nullptr) changes.push_back({name, initial->sql});
      else if (LeavesPlaceholder(name)) changes.push_back({name, Placeholder(name).sql});
      else changes.push_back({name, std::nullopt});
    }
  }
  return table.With(set, changes);
}

SessionSettings::SessionSettings(SettingTable& table) : table_(table) { Start(table.None()); }

void SessionSettings::Start(Settings startup) {
  startup_ = std::move(startup);
  now_ = begun_ = {startup_, table_.None()};
  saved_.clear();
  named_.clear();
  Changed();
}

void SessionSettings::SetLocal(std::string_view name, std::string sql) {
  now_.local = table_.With(now_.local, {std::string(name), std::move(sql)});
}

std::string SessionSettings::LocalReset(std::string_view name) const {
  const auto* initial = FindSetting(*startup_, name);
  return initial != nullptr ? initial->sql : std::string(kBack) + std::string(name);
}

void SessionSettings::ResetLocal(std::string_view name) { SetLocal(name, LocalReset(name)); }

// What the session knows already, it knows behind the transaction too.
void SessionSettings::Named(std::string_view name) {
  if (!LeavesPlaceholder(name) || named_.size() >= kMaxPlaceholders || FindSetting(*begun_.session, name) != nullptr) return;
  if (std::find(named_.begin(), named_.end(), name) == named_.end()) named_.emplace_back(name);
}

// The transaction has ended, whichever way: what was named in it and is not set now is known.
void SessionSettings::KeepNames() {
  for (auto* session : {&now_.session, &begun_.session}) {
    SettingSet names;
    for (const auto& name : named_)
      if (FindSetting(**session, name) == nullptr) names.push_back(Placeholder(name));
    if (!names.empty()) *session = table_.Filled(*session, table_.Intern(std::move(names)));
  }
  named_.clear();
}

void SessionSettings::ApplyAll(std::span<const SettingEffect> effects) {
  if (effects.size() == 1) return Apply(effects.front());
  std::vector<SettingChange> changes;
  for (const auto& effect : effects) {
    const auto name = CanonicalSetting(effect.name);
    Named(name);
    if (effect.kind == Kind::kSetLocal) changes.push_back({name, AsSession(effect.sql)});
    else if (effect.kind == Kind::kResetLocal) changes.push_back({name, LocalReset(name)});
    else if (effect.kind == Kind::kUnknownLocal) changes.push_back({name, std::string()});
    else changes.push_back({name, std::nullopt});
  }
  now_.local = table_.With(now_.local, changes);
  now_.session = AfterEffects(table_, now_.session, effects, startup_);
  Changed();
}

void SessionSettings::Apply(const SettingEffect& effect) {
  const auto name = CanonicalSetting(effect.name);
  Named(name);
  switch (effect.kind) {
    case Kind::kSet:
    case Kind::kReset:
      now_.local = table_.Intern(WithoutName(*now_.local, name));
      if (name == kUser) now_.local = table_.Intern(WithoutName(*now_.local, kRole));
      break;
    case Kind::kResetAll: {
      SettingSet who;
      for (const auto& setting : *now_.local)
        if (IsWho(setting.name)) who.push_back(setting);
      now_.local = table_.Intern(std::move(who));
      break;
    }
    case Kind::kDiscardAll:  // it is its own transaction
      now_.local = table_.None();
      break;
    case Kind::kSetLocal:
      SetLocal(name, AsSession(effect.sql));
      if (name == kUser) SetLocal(kRole, NoRole().sql);
      break;
    case Kind::kResetLocal:
      ResetLocal(name);
      if (name == kUser) ResetLocal(kRole);
      break;
    case Kind::kUnknownLocal: SetLocal(name, {}); break;
    case Kind::kTransaction: return;
  }
  now_.session = AfterEffect(table_, now_.session, effect, startup_);
  if (effect.kind == Kind::kDiscardAll) Commit();
  Changed();
}

void SessionSettings::Adopt(Settings session) {
  now_ = {std::move(session), table_.None()};
  Commit();
  Changed();
}

void SessionSettings::Commit() {
  saved_.clear();
  EndLocal();
  begun_ = now_;
}

void SessionSettings::RollBack() {
  saved_.clear();
  KeepNames();
  now_ = begun_;
  Changed();
}

void SessionSettings::EndLocal() {
  if (!EndChanges()) return;
  KeepNames();
  now_.local = table_.None();
  Changed();
}

std::size_t SessionSettings::Find(std::string_view savepoint) const {
  for (auto i = saved_.size(); i-- > 0;)
    if (saved_[i].first == savepoint) return i;
  return saved_.size();
}

void SessionSettings::Save(std::string savepoint) { saved_.emplace_back(std::move(savepoint), now_); }

bool SessionSettings::RollBackTo(std::string_view savepoint) {
  const auto at = Find(savepoint);
  if (at == saved_.size()) return false;
  now_ = saved_[at].second;
  saved_.resize(at + 1);
  Changed();
  return true;
}

void SessionSettings::Release(std::string_view savepoint) { saved_.resize(Find(savepoint)); }

// `effect`, of the setting `name`, takes back `setting`, one of those at start-up.
bool SessionSettings::Restores(const Setting& setting, const SettingEffect& effect, std::string_view name) {
  switch (effect.kind) {
    case Kind::kResetAll: return !IsWho(setting.name);
    case Kind::kDiscardAll: return true;
    case Kind::kReset:
    case Kind::kResetLocal: return setting.name == name || (name == kUser && setting.name == kRole);
    case Kind::kSet:
    case Kind::kSetLocal:
    case Kind::kUnknownLocal:
    case Kind::kTransaction: return false;
  }
  return false;
}

std::vector<std::string> SessionSettings::Restoring(const SettingEffect& effect) const {
  std::vector<std::string> statements;
  const auto name = CanonicalSetting(effect.name);
  for (const auto& setting : *startup_)
    if (Restores(setting, effect, name))
      statements.push_back(effect.kind == Kind::kResetLocal ? AsLocal(setting.sql) : setting.sql);
  return statements;
}

std::size_t SessionSettings::RestoringBytes(const SettingEffect& effect) const {
  std::size_t bytes = 0;
  const auto name = CanonicalSetting(effect.name);
  if (ChangesOneSetting(effect)) {
    const auto* initial =
        effect.kind == Kind::kReset || effect.kind == Kind::kResetLocal ? FindSetting(*startup_, name) : nullptr;
    return initial == nullptr ? 0 : sizeof(Setting) + initial->sql.size();
  }
  for (const auto& setting : *startup_)
    if (Restores(setting, effect, name)) bytes += sizeof(Setting) + setting.sql.size();
  return bytes;
}

void SessionSettings::Changed() {
  if (now_.local->empty()) {
    effective_ = now_.session;
  } else {
    effective_ = table_.Filled(now_.local, now_.session);
    const auto back = [](const Setting& setting) { return setting.sql.starts_with(kBack); };
    if (std::any_of(effective_->begin(), effective_->end(), back)) {
      auto left = *effective_;
      std::erase_if(left, back);
      effective_ = table_.Intern(std::move(left));
    }
  }
  parsing_ = table_.ForParsing(effective_);
}

}  // namespace waypost
