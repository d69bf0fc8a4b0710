// What a session has set, level by level, as PostgreSQL keeps it: what it started with (RESET goes back to that), what
// holds for the session, what holds only for the transaction (SET LOCAL), and both as they were at each savepoint.
// Pure; one per session.
//
// A name with a dot that was touched stays known, be it in a transaction that was rolled back: see Placeholder().
//
// Source: src/backend/utils/misc/README and AtEOXact_GUC() in guc.c of PostgreSQL. A SET overrides an earlier SET LOCAL of
// the same transaction; RELEASE keeps what holds; ROLLBACK TO and ROLLBACK bring back what held before.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "parser/sql/facts.h"
#include "routing/settings.h"

namespace waypost {

// What `effect`, which succeeded, makes of the session level `set`, where RESET goes back to `startup`. SET LOCAL and SET
// TRANSACTION change nothing here.
[[nodiscard]] Settings AfterEffect(SettingTable& table, const Settings& set, const SettingEffect& effect,
                                   const Settings& startup);

// True for what changes one setting and nothing beside it: a series of these can be applied at once.
[[nodiscard]] bool ChangesOneSetting(const SettingEffect& effect);
// AfterEffect() of all of `effects`, one behind the other, each of which changes one setting. Takes as long as set and series are
// long, where one by one takes their product.
[[nodiscard]] Settings AfterEffects(SettingTable& table, const Settings& set, std::span<const SettingEffect> effects,
                                    const Settings& startup);

class SessionSettings {
 public:
  // `table` outlives this.
  explicit SessionSettings(SettingTable& table);

  // The session begins, with what its client asked for.
  void Start(Settings startup);

  [[nodiscard]] const Settings& startup() const { return startup_; }
  // What holds for the session, uncommitted changes among it.
  [[nodiscard]] const Settings& session() const { return now_.session; }
  // What statements run under: SET LOCAL on top of it. A setting whose value is unknown has an empty `sql`.
  [[nodiscard]] const Settings& effective() const { return effective_; }
  // Of that, what a text may mean something else under when it is parsed; see MattersToParsing().
  [[nodiscard]] const Settings& parsing() const { return parsing_; }
  // Something is set only for this transaction.
  [[nodiscard]] bool has_local() const { return !now_.local->empty(); }
  // Its end changes something: what is set only for it, or a name that is new.
  [[nodiscard]] bool EndChanges() const { return has_local() || !named_.empty(); }

  // A statement with this effect succeeded.
  void Apply(const SettingEffect& effect);
  // Apply() of each, which changes one setting: see AfterEffects().
  void ApplyAll(std::span<const SettingEffect> effects);
  // What the session level is by what the server says, outside a transaction.
  void Adopt(Settings session);

  // A transaction begins, or one has ended that kept what it changed.
  void Commit();
  // All of the transaction is undone.
  void RollBack();
  // The transaction has ended: what held only for it is gone, but for the names.
  void EndLocal();
  void Save(std::string savepoint);
  // False: there is no savepoint of that name.
  bool RollBackTo(std::string_view savepoint);
  void Release(std::string_view savepoint);
  [[nodiscard]] std::size_t savepoints() const { return saved_.size(); }

  // What undoes the difference between a server connection, which starts without any settings, and this session after a
  // statement with `effect`, which resets both: statements that set the start-up values again. Empty: no difference.
  [[nodiscard]] std::vector<std::string> Restoring(const SettingEffect& effect) const;
  // How many bytes of SQL that is, about; 0: none.
  [[nodiscard]] std::size_t RestoringBytes(const SettingEffect& effect) const;

 private:
  struct Level {
    Settings session, local;
  };
  [[nodiscard]] static bool Restores(const Setting& setting, const SettingEffect& effect, std::string_view name);
  [[nodiscard]] std::string LocalReset(std::string_view name) const;
  void Changed();
  void SetLocal(std::string_view name, std::string sql);
  void ResetLocal(std::string_view name);
  void Named(std::string_view name);
  void KeepNames();
  [[nodiscard]] std::size_t Find(std::string_view savepoint) const;

  SettingTable& table_;
  Settings startup_;
  Level now_, begun_;
  std::vector<std::pair<std::string, Level>> saved_;
  std::vector<std::string> named_;  // in this transaction, of those that leave a placeholder; each once, and a bound of them
  Settings effective_, parsing_;
};

}  // namespace waypost
