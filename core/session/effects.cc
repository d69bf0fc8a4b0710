// What a session becomes by what the server says has run: settings, savepoints, prepared statements, and what others must
// hear of (DDL).
#include <algorithm>
#include <utility>

#include "core/base/ascii.h"
#include "core/session/session.h"

namespace waypost {

// What ran is one that keeps what is set, or brings back what was.
bool Session::AsksSettings(StatementKind kind) {
  switch (kind) {
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRollbackTo:
    case StatementKind::kRelease:
    case StatementKind::kTwoPhase:
    case StatementKind::kPrepare:
    case StatementKind::kDiscard: return true;
    default: return false;
  }
}

// One of a series that comes into force at once.
bool Session::JoinsSeries(const SettingEffect& effect) { return ChangesOneSetting(effect) && effect.name != "datestyle"; }

bool Session::RunEffects(const Answer& answer, char type, Bytes body) {
  auto& b = *batch_;
  const auto sequence = answer.sequence;
  if (sequence == 0) return true;
  auto end = b.effect;
  while (end < b.effects.size() && b.effects[end].sequence < sequence) ++end;
  UndoSkipped(end);
  if (b.effect == b.effects.size() || b.effects[b.effect].sequence != sequence) return true;
  auto& effect = b.effects[b.effect];
  if (type == 'E') {
    const auto failed = b.effect++;
    // What was sent behind it, up to the end of the batch, is skipped.
    if (b.effects[failed].kind != Effect::Kind::kTried) UndoSkipped(b.effects.size());
    Undo(b.effects[failed], true);
    return true;
  }
  switch (effect.kind) {
    case Effect::Kind::kRan:
      if (effect.aside_left > 0 && type != 'Z') {
        if (type == 'C') --effect.aside_left;
        return false;
      }
      if (type == 'C' && effect.next < effect.sql->facts->size()) {
        const auto sql = effect.sql;  // Apply may move what holds it
        if (!effect.aside.empty()) effect.aside_left = effect.aside[effect.next];
        auto tag = AsText(body);
        if (!tag.empty()) tag.remove_suffix(1);
        Apply(sql, (*sql->facts)[effect.next++], tag);
      }
      break;
    case Effect::Kind::kParsed:
      if (type != '1') break;
      if (effect.name.empty()) {
        names_.SetUnnamed(effect.statement);
      } else {
        names_.Set(effect.name, effect.statement);
      }
      break;
    case Effect::Kind::kClosed:
      if (effect.name.empty()) break;
      names_.Set(effect.name, nullptr);
      ForgetOwnName(effect.name);
      break;
    case Effect::Kind::kDescribed:
      if (type == 't') effect.types = AsText(body);
      else if (type == 'T' || type == 'n') Described(effect, type, body);
      break;
    case Effect::Kind::kInjected:
    case Effect::Kind::kTried: break;
  }
  if (answer.completes) ++b.effect;
  // A batch without an end in sight: what is done is not kept.
  if (!b.facts.retained) Batch::DropDone(b.effects, b.effect);
  return true;
}

// Effects that the server skipped behind an error, the last one first: each goes back to what it found.
void Session::UndoSkipped(std::size_t end) {
  auto& b = *batch_;
  for (auto i = end; i > b.effect; --i) Undo(b.effects[i - 1], false);
  b.effect = end;
}

// A Parse that failed or was skipped: the server does not have that statement after all.
void Session::Undo(Effect& effect, bool failed) {
  if (connection_ == nullptr) return;
  if (effect.kind == Effect::Kind::kDescribed) return EndAsking(effect);
  if (!effect.sent) return;
  if (effect.taints) connection_->tainted = true;
  if (!effect.OfUnnamed()) {
    if (const auto own = connection_->own_names.find(std::string(KeptName(effect.name))); own != connection_->own_names.end()) {
      // Another name may mean the same.
      if (own->second == effect.sequence) own->second = 0;
      failed = false;
    }
    const auto there = connection_->statements.find(effect.statement->id);
    // A later Parse of the same, in a series of its own, may be under way.
    if (there == connection_->statements.end() || there->second.parsed != effect.sequence) return;
    if (failed || !effect.before) connection_->statements.erase(there);
    else there->second = *effect.before;
  } else if (failed) {
    connection_->unnamed.reset();  // the one before is gone too
    if (effect.kind != Effect::Kind::kInjected) names_.SetUnnamed(nullptr);
  } else {
    connection_->unnamed = std::move(effect.server_unnamed_before);
    if (effect.kind != Effect::Kind::kInjected) names_.SetUnnamed(std::move(effect.unnamed_before));
  }
}

void Session::Apply(const SqlRef& sql, const Facts& facts, std::string_view tag) {
  if (AsksSettings(facts.kind)) SettleSettings();
  switch (facts.kind) {
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRollbackTo:
    case StatementKind::kRelease:
    case StatementKind::kTwoPhase: ApplyTransaction(facts, tag); break;
    case StatementKind::kDeallocate: ApplyDeallocate(facts); break;
    case StatementKind::kPrepare:
      names_.Set(facts.object, PreparedBySql(sql, facts.object, settings_.parsing()));
      ForgetOwnName(facts.object);
      break;
    case StatementKind::kDiscard:
      if (facts.object == "sequences") ForgetSequences();
      break;
    default: break;
  }
  if (facts.databases) RenewDatabases(facts.databases->renewed);
  for (const auto& effect : facts.settings) ApplySetting(effect);
  // What a transaction changed comes into force when it is committed, by whatever session.
  if (facts.kind == StatementKind::kTwoPhase) {
    auto& plain = env_.shared().plain_prepared;
    const bool was_plain = plain.Remove(facts.object);
    const auto changed = tag == "PREPARE TRANSACTION" ? std::exchange(ddl_pending_, CatalogChange::kNone) : CatalogChange::kNow;
    if (changed == CatalogChange::kNone) plain.Add(facts.object);
    if (was_plain) return;
  }
  ddl_pending_ = std::max(ddl_pending_, facts.catalog);
  // Outside a block a simple Query has committed by now, and the client may hear of it at once.
  if (connection_->status() == 'I') CatalogChanged(std::exchange(ddl_pending_, CatalogChange::kNone));
}

// What was read of the catalogue is out of date, for every client of every worker; it is read again.
void Session::CatalogChanged(CatalogChange change) {
  if (change == CatalogChange::kNone) return;
  auto& shared = env_.shared();
  if (change >= CatalogChange::kDefaults) shared.defaults_clock.Tick(env_.ExactNow());
  if (change >= CatalogChange::kNow) shared.catalog_clock.Tick(database_);
  shared.want_catalog(database_);
}

void Session::TransactionEnded() {
  if (settings_.EndChanges()) {
    const bool same = connection_->settings == settings_.session();
    settings_.EndLocal();
    if (same) connection_->settings = settings_.session();
    SettingsChanged();
  }
  // Only now it is sure that it was committed.
  CatalogChanged(std::exchange(ddl_pending_, CatalogChange::kNone));
}

void Session::ApplyTransaction(const Facts& facts, std::string_view tag) {
  switch (facts.kind) {
    case StatementKind::kSavepoint: return settings_.Save(facts.object);
    case StatementKind::kRollbackTo:
      if (!settings_.RollBackTo(facts.object)) return;
      connection_->settings = settings_.session();
      return SettingsChanged();
    case StatementKind::kRelease: return settings_.Release(facts.object);
    case StatementKind::kCommit:
    case StatementKind::kRollback:
      if (tag == "ROLLBACK") {
        settings_.RollBack();
        connection_->settings = settings_.session();
        SettingsChanged();
        if (ties_.RolledBack() && batch_) batch_->pin = PinReason::kNone;
      }
      env_.metrics().Count(Counter::kTransactions, block_.reads_only() ? TransactionMode::kReadOnly : TransactionMode::kReadWrite,
                           tag == "ROLLBACK" ? TransactionOutcome::kRollback : TransactionOutcome::kCommit);
      [[fallthrough]];
    case StatementKind::kTwoPhase: {
      const bool same = connection_->settings == settings_.session();
      settings_.Commit();
      if (same) connection_->settings = settings_.session();
      return SettingsChanged();
    }
    default: return;
  }
}

void Session::ApplyDeallocate(const Facts& facts) {
  if (facts.object.empty()) {
    names_.Clear();
    connection_->ForgetStatements(Answered());
    return;
  }
  const auto statement = names_.FindAt(facts.object, 0);
  if (!statement) return;
  const auto there = connection_->statements.find(statement->id);
  if (!lease_.own_names() && there != connection_->statements.end() && there->second.parsed < Answered())
    connection_->statements.erase(there);
  names_.Set(facts.object, nullptr);
  ForgetOwnName(facts.object);
}

// A series of changes is applied at once: each copies all that is set.
void Session::ApplySetting(SettingEffect effect) {
  if (JoinsSeries(effect)) return unapplied_.push_back(std::move(effect));
  SettleSettings();
  if (effect.name == "datestyle" && !effect.sql.empty()) effect.sql = WithWholeDateStyle(effect.sql);
  const bool before = connection_->settings == settings_.session();
  settings_.Apply(effect);
  // What was put behind it made the server what the session is; behind DISCARD ALL alone there is no place for that.
  const bool restored = before && effect.kind != SettingEffect::Kind::kDiscardAll;
  connection_->settings =
      restored ? settings_.session() : AfterEffect(env_.settings(), connection_->settings, effect, env_.settings().None());
  if (effect.kind == SettingEffect::Kind::kDiscardAll) {
    names_.Clear();
    names_.SetUnnamed(nullptr);
    connection_->ForgetStatements(Answered());
    connection_->unnamed.reset();
    ForgetSequences();
    ties_.Discarded();
    if (batch_) batch_->pin = PinReason::kNone;
  }
  SettingsChanged();
}

void Session::SettleSettings() {
  if (unapplied_.empty()) return;
  const auto effects = std::exchange(unapplied_, {});
  const bool before = connection_->settings == settings_.session();
  settings_.ApplyAll(effects);
  connection_->settings =
      before ? settings_.session() : AfterEffects(env_.settings(), connection_->settings, effects, env_.settings().None());
  SettingsChanged();
}

void Session::SettingsChanged() {
  const auto& settings = *settings_.effective();
  const auto value = [&](std::string_view name) -> std::string_view {
    const auto* setting = FindSetting(settings, name);
    if (setting == nullptr) return {};
    return setting->sql.empty() ? std::string_view("?") : std::string_view(setting->sql);
  };
  const auto role = value("role");
  name_context_.SetSettings(value("search_path"), std::string(role == "SET role TO 'none'" ? std::string_view() : role) +
                                                      std::string(value("session_authorization")));
  transaction_defaults_ = TransactionDefaultsIn(settings, starts_read_committed_);
}

}  // namespace waypost
