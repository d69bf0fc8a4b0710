// Replies on their way to the client, and what they change in the session.
#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/log.h"
#include "core/session.h"
#include "core/worker.h"
#include "parser/backend.h"
#include "parser/encode.h"
#include "parser/frontend.h"

namespace waypost {
namespace {

// Once one of these has come, the statement has run: nothing is thrown away any more.
bool IsDecisive(char type) {
  switch (type) {
    case '1': case '2': case '3': case 't': case 'T': case 'n': case 'N': case 'S': case 'E':
      return false;
    default:
      return true;
  }
}

// True if the message that is answered with `error` was not even begun.
bool NothingRan(const Answer& answer, const ErrorView& error) {
  if (answer.entry == 'P') return true;
  if (error.in_code) return false;
  return error.sqlstate == "25P02" || (answer.entry == 'Q' && error.sqlstate == "42601" && error.placed);
}

}  // namespace

Relayed Session::OnReply(const Answer& answer, FrameHeader header, Bytes body, std::string& replacement) noexcept {
  if (batch_ && !batch_->effects.empty()) RunEffects(answer, header.type, body);
  if (In<Discarding>()) return Relayed::kDrop;
  if (header.type == 'Z' && connection_->status() == 'I') TransactionEnded();
  const bool ran = IsDecisive(header.type) || (header.type == 'T' && answer.entry == 'Q');
  if (ran && batch_ && answer.entry != 0 && answer.reply == Reply::kForward) batch_->ran_any = true;
  if (header.type == 'D' && In<Auditing>() && !AddAuditRow(audit_, body)) audit_failed_ = true;
  if (header.type == 'D' && done_ && Comparing()) check_->primary_now = ReadPrimaryNow(body);
  switch (header.type) {
    case 'C': case 'I': case 's':
      CountCompletion(answer, header.type, body);
      break;
    case 'E':
      return OnError(answer, body, replacement);
    case 'S':
      if (const auto status = ReadParameterStatus(body)) OnParameter(status->first, status->second);
      return Relayed::kForward;
    default:
      break;
  }
  if (holding_ && answer.reply == Reply::kForward && IsDecisive(header.type)) ReleaseHeld();
  return Relayed::kForward;
}

// True if `error` says that DDL has changed what the batch's first message returns, and the client is about to hear what
// it returns now: without a Describe it would read the new rows as the old ones.
bool Session::PlanChanged(const Answer& answer, const ErrorView& error) const {
  if (error.sqlstate != "0A000" || error.routine != "RevalidateCachedQuery" || !batch_) return false;
  const auto& b = *batch_;
  if (!b.facts.end_known || !b.facts.retained || b.messages.empty() || b.ran_any) return false;
  const auto& first = b.messages.front();
  return first.sequence == answer.sequence && first.statement && !first.statement->by_sql() &&
         std::any_of(b.messages.begin(), b.messages.end(), [](const auto& message) { return message.type == 'D'; });
}

bool Session::MayHeal(std::string_view sqlstate) const {
  // 57014 is the client's own cancel or statement_timeout; class 22 is the data's fault, wherever it is read.
  if (sqlstate == "57014" || sqlstate.starts_with("22")) return false;
  // What a replica that is proved fresh does not find is not there; one that is not may not have heard of it.
  return !(fenced_ && sqlstate.starts_with("42"));
}

Relayed Session::OnError(const Answer& answer, Bytes body, std::string& replacement) {
  const auto error = ReadError(body);
  if (Comparing() && (answer.reply != Reply::kSwallow || done_)) {  // the client gets the answer at hand
    check_->Fail(SelfCheckOutcome::kFailed);
    return Relayed::kSkip;
  }
  if (check_ != nullptr && answer.reply != Reply::kSwallow) EndCheck(SelfCheckOutcome::kFailed);
  if (answer.reply == Reply::kSwallow) {
    const bool fatal = error.severity == "FATAL" || error.severity == "PANIC";
    if (fatal) last_words_ = error.message;
    else if (In<Auditing>()) audit_failed_ = true;
    else if (answer.entry == 'Q') SettingsFailed(body, batch_ && answer.sequence == batch_->begin_sequence);
    return Relayed::kSkip;
  }
  if (PlanChanged(answer, error)) {
    Take(HeldError{.unbegun = true});
    if (In<Discarding>()) {
      connection_->stale_statements = true;
      DropHeld();
      LeaveFence();
      worker_.metrics().Count(Counter::kReadRetries, RetryCause::kPlanChanged);
      return Relayed::kDrop;
    }
  }
  // In a block that the client made READ ONLY that error is its own.
  const bool own = error.sqlstate == "25006" && In<Relaying>() && std::get<Relaying>(state_).opens;
  if (holding_ && !own && MayHeal(error.sqlstate)) {
    Take(HeldError{});
    if (In<Discarding>()) {
      DropHeld();
      LeaveFence();
      const bool read_only = error.sqlstate == "25006";
      Log(LogLevel::kInfo, "read_rerun",
          {{"server", connection_->server().name}, {"sqlstate", error.sqlstate}, {"user", user_}});
      worker_.metrics().Count(Counter::kReadRetries, read_only                    ? RetryCause::kReadOnlyError
                                                     : error.sqlstate == "40001" ? RetryCause::kRecoveryConflict
                                                                                 : RetryCause::kOtherError);
      if (read_only) {
        worker_.metrics().Count(Counter::kMisrouted, connection_->id());
        for (const auto& message : batch_->messages) {
          const auto text = batch_->BodyOf(message);
          if (message.type == 'Q') worker_.cache().Teach(AsText(text).substr(0, text.size() - 1), lexing_);
          if (message.statement) worker_.cache().Teach(message.statement->sql->text, lexing_);
        }
      }
      return Relayed::kDrop;
    }
  }
  const bool fatal = error.severity == "FATAL" || error.severity == "PANIC";
  if (fatal && error.sqlstate == "08P01") {
    fatal_ = true;  // the client broke the protocol: it is told as the server told us, and closed
  } else if (fatal) {
    // The server connection ends, not the client's: it hears of it in OnServerLost.
    last_words_ = error.message;
    return Relayed::kSkip;
  }
  ReleaseHeld();
  if (batch_ && !batch_->ran_any && NothingRan(answer, error)) {
    batch_->pin = PinReason::kNone;
    batch_->unseen = batch_->unlisted = batch_->audit = false;
  }
  if (batch_ && !batch_->failed) CountError(false);
  if (batch_) batch_->failed = true;
  worker_.metrics().Count(Counter::kErrors, ErrorOrigin::kServer, SqlStateClassIndex(error.sqlstate));
  // 25P02 stays: in a failed block nothing is looked at.
  if (batch_ && answer.sequence != 0 && answer.sequence == batch_->refusal_sequence &&
      error.sqlstate == kRefusedState) {
    replacement = batch_->refusal;
    return Relayed::kForward;
  }
  if (batch_ && batch_->timed_out && error.sqlstate == "57014") {
    AppendError(replacement, {.sqlstate = "57014", .message = "canceling statement due to statement timeout"});
    return Relayed::kForward;
  }
  // The server knows statements by our names.
  const bool moved = error.placed && batch_ && !batch_->renamed.empty();
  if (moved || AsText(body).find(worker_.statements().prefix()) != std::string_view::npos) {
    const auto fields = WithClientNames(AsText(body), answer);
    MessageBuilder(replacement, 'E').Raw(AsBytes(fields));
  }
  return Relayed::kForward;
}

void Session::SettingsFailed(Bytes body, bool begin) {
  const auto error = ReadError(body);
  Log(LogLevel::kWarn, begin ? "begin_failed" : "settings_failed",
      {{"server", connection_->server().name}, {"user", user_}, {"sqlstate", error.sqlstate}});
  // What follows runs under settings that are not the client's: nothing of it may be shown, and the connection goes.
  failure_.clear();
  AppendError(failure_, {.sqlstate = error.sqlstate.empty() ? "XX000" : error.sqlstate,
                         .message = begin ? "could not begin the transaction on the server"
                                          : "could not restore the session's settings on the server",
                         .detail = error.message});
  auto* lost = connection_;
  const bool ready_due = lost->ledger().OwesReady();
  lost->EndLease();
  Lost(ready_due, false);
  lost->OnClosed(begin ? "a transaction could not be begun on it" : "the session's settings could not be restored on it");
}

void Session::RunEffects(const Answer& answer, char type, Bytes body) {
  auto& b = *batch_;
  const auto sequence = answer.sequence;
  if (sequence == 0) return;
  auto end = b.effect;
  while (end < b.effects.size() && b.effects[end].sequence < sequence) ++end;
  UndoSkipped(end);
  if (b.effect == b.effects.size() || b.effects[b.effect].sequence != sequence) return;
  auto& effect = b.effects[b.effect];
  if (type == 'E') {
    const auto failed = b.effect++;
    UndoSkipped(b.effects.size());  // what was sent behind it, up to the end of the batch
    Undo(b.effects[failed], true);
    return;
  }
  switch (effect.kind) {
    case Effect::Kind::kRan:
      if (type == 'C' && effect.next < effect.sql->facts->size()) {
        const auto sql = effect.sql;  // Apply may move what holds it
        auto tag = AsText(body);
        if (!tag.empty()) tag.remove_suffix(1);
        Apply(sql, (*sql->facts)[effect.next++], tag);
      }
      break;
    case Effect::Kind::kParsed:
      if (type != '1') break;
      if (effect.name.empty()) {
        unnamed_ = effect.statement;
      } else {
        if (!statements_) statements_ = std::make_unique<Statements>();
        (*statements_)[effect.name] = effect.statement;
      }
      break;
    case Effect::Kind::kClosed:
      if (statements_ && !effect.name.empty()) statements_->erase(effect.name);
      break;
    case Effect::Kind::kInjected:
      break;
  }
  if (answer.completes) ++b.effect;
  // A batch without an end in sight: what is done is not kept.
  constexpr std::size_t kManyDone = 1024;
  if (b.effect < kManyDone) return;
  b.effects.erase(b.effects.begin(), b.effects.begin() + static_cast<std::ptrdiff_t>(b.effect));
  b.effect = 0;
}

// Effects that the server skipped behind an error, the last one first: each goes back to what it found.
void Session::UndoSkipped(std::size_t end) {
  auto& b = *batch_;
  for (auto i = end; i > b.effect; --i) Undo(b.effects[i - 1], false);
  b.effect = end;
}

// A Parse that failed or was skipped: the server does not have that statement after all.
void Session::Undo(Effect& effect, bool failed) {
  if (!effect.sent || connection_ == nullptr) return;
  if (effect.taints) connection_->tainted = true;
  if (!effect.OfUnnamed()) {
    connection_->statements.erase(effect.statement->id);
  } else if (failed) {
    connection_->unnamed.reset();  // the one before is gone too
    if (effect.kind != Effect::Kind::kInjected) unnamed_.reset();
  } else {
    connection_->unnamed = std::move(effect.server_unnamed_before);
    if (effect.kind != Effect::Kind::kInjected) unnamed_ = std::move(effect.unnamed_before);
  }
}

void Session::OnSynthesised(char type, std::uint64_t sequence, std::string& out) noexcept {
  const Answer answer{Reply::kSynthesise, type, sequence, true};
  const char reply = type == 'P' ? '1' : '3';
  if (batch_) RunEffects(answer, reply, {});
  if (!In<Discarding>()) AppendEmpty(out, reply);
}

void Session::Apply(const SqlRef& sql, const Facts& facts, std::string_view tag) {
  switch (facts.kind) {
    case StatementKind::kBegin: case StatementKind::kCommit: case StatementKind::kRollback:
    case StatementKind::kSavepoint: case StatementKind::kRollbackTo: case StatementKind::kRelease:
    case StatementKind::kTwoPhase:
      ApplyTransaction(facts, tag);
      break;
    case StatementKind::kDeallocate:
      ApplyDeallocate(facts);
      break;
    case StatementKind::kPrepare: {
      if (!statements_) statements_ = std::make_unique<Statements>();
      Statement statement;
      statement.sql = sql;
      statement.settings = settings_;
      statement.server_name = facts.object;
      (*statements_)[facts.object] = std::make_shared<const Statement>(std::move(statement));
      break;
    }
    case StatementKind::kDiscard:
      if (facts.object == "sequences") ForgetSequences();
      break;
    default:
      break;
  }
  for (const auto& effect : facts.settings) ApplySetting(effect);
  // What a transaction changed comes into force when it is committed, by whatever session.
  if (facts.kind == StatementKind::kTwoPhase) {
    auto& plain = worker_.shared().plain_prepared;
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
  auto& shared = worker_.shared();
  if (change >= CatalogChange::kDefaults) shared.defaults_clock.Tick();
  if (change >= CatalogChange::kNow) shared.catalog_clock.Tick(database_);
  shared.want_catalog(database_);
}

void Session::TransactionEnded() {
  if (std::exchange(local_path_, false)) SettingsChanged();
  // Only now it is sure that it was committed.
  CatalogChanged(std::exchange(ddl_pending_, CatalogChange::kNone));
}

void Session::ApplyTransaction(const Facts& facts, std::string_view tag) {
  auto saved = [&](const std::string& name) {
    for (auto i = savepoints_.size(); i-- > 0;)
      if (savepoints_[i].first == name) return i;
    return savepoints_.size();
  };
  switch (facts.kind) {
    case StatementKind::kSavepoint:
      savepoints_.emplace_back(facts.object, settings_);
      return;
    case StatementKind::kRollbackTo:
      if (const auto at = saved(facts.object); at < savepoints_.size()) {
        settings_ = savepoints_[at].second;
        connection_->settings = settings_;
        savepoints_.resize(at + 1);
        SettingsChanged();
      }
      return;
    case StatementKind::kRelease:
      savepoints_.resize(saved(facts.object));
      return;
    case StatementKind::kCommit: case StatementKind::kRollback:
      if (tag == "ROLLBACK") {
        settings_ = transaction_settings_;
        connection_->settings = settings_;
        SettingsChanged();
        if (rollback_unpins_) {
          unpin_ = true;
          if (batch_) batch_->pin = PinReason::kNone;
        }
      }
      worker_.metrics().Count(Counter::kTransactions,
                              read_only_block_ ? TransactionMode::kReadOnly : TransactionMode::kReadWrite,
                              tag == "ROLLBACK" ? TransactionOutcome::kRollback : TransactionOutcome::kCommit);
      [[fallthrough]];
    case StatementKind::kTwoPhase:
      savepoints_.clear();
      transaction_settings_ = settings_;
      return;
    default:
      return;
  }
}

void Session::ApplyDeallocate(const Facts& facts) {
  if (facts.object.empty()) {
    statements_.reset();
    connection_->statements.clear();
    return;
  }
  if (!statements_) return;
  const auto found = statements_->find(facts.object);
  if (found == statements_->end()) return;
  connection_->statements.erase(found->second->id);
  statements_->erase(found);
}

void Session::ApplySetting(const SettingEffect& effect) {
  auto& table = worker_.settings();
  auto& server = connection_->settings;
  switch (effect.kind) {
    case SettingEffect::Kind::kSet:
      settings_ = table.With(settings_, {effect.name, effect.sql});
      server = table.With(server, {effect.name, effect.sql});
      break;
    case SettingEffect::Kind::kSetLocal:
      if (effect.name == "search_path" || effect.name == "role") {
        local_path_ = true;
        SettingsChanged();
      }
      return;
    case SettingEffect::Kind::kReset:
      settings_ = table.Reset(settings_, effect.name, startup_->settings);
      server = table.Reset(server, effect.name, connection_->startup().settings);
      break;
    case SettingEffect::Kind::kResetAll:
    case SettingEffect::Kind::kDiscardAll: {
      // RESET ALL leaves role and session authorization alone; DISCARD ALL does not.
      SettingSet kept;
      if (effect.kind == SettingEffect::Kind::kResetAll)
        for (const auto& setting : *settings_)
          if (setting.name == "role" || setting.name == "session_authorization") kept.push_back(setting);
      const auto with_kept = [&](const Settings& startup) {
        auto all = *startup;
        all.insert(all.end(), kept.begin(), kept.end());
        return table.Intern(std::move(all));
      };
      server = with_kept(connection_->startup().settings);
      settings_ = with_kept(startup_->settings);
      if (effect.kind == SettingEffect::Kind::kDiscardAll) {
        statements_.reset();
        unnamed_.reset();
        connection_->statements.clear();
        connection_->unnamed.reset();
        ForgetSequences();
        unpin_ = true;
        if (batch_) batch_->pin = PinReason::kNone;
      }
      break;
    }
    case SettingEffect::Kind::kTransaction:
      return;
  }
  SettingsChanged();
}

void Session::SettingsChanged() {
  context_generation_ = 0;
  const auto value = [&](std::string_view name) -> std::string_view {
    const auto* setting = FindSetting(*settings_, name);
    return setting == nullptr ? std::string_view() : std::string_view(setting->sql);
  };
  search_path_ = value("search_path");
  role_ = std::string(value("role")) + std::string(value("session_authorization"));
  const auto says = [&](std::string_view name, std::string_view word) {
    return AsciiLower(value(name)).find(word) != std::string::npos;
  };
  serializable_default_ = says("default_transaction_isolation", "serializable");
  // "on", "true", "yes", "1", or the form of SET SESSION CHARACTERISTICS.
  const auto read_only = std::string(value("default_transaction_read_only"));
  read_only_default_ = !read_only.empty() && !says("default_transaction_read_only", "off") &&
                       !says("default_transaction_read_only", "false") &&
                       !says("default_transaction_read_only", "read write");
}

void Session::ReleaseHeld() {
  if (!holding_) return;
  if (unconfirmed_) {
    decisive_ = true;
    return;
  }
  if (check_ != nullptr) return;  // until it is whole
  holding_ = decisive_ = false;
  Take(Forwarding{});
  if (held_.empty()) return;
  const auto held = std::move(held_);
  held_ = std::string();
  WriteClient(AsBytes(held));
}

// What was held is thrown away, and no proof is waited for.
void Session::DropHeld() {
  holding_ = unconfirmed_ = decisive_ = false;
  done_.reset();
  held_.clear();
}

void Session::OnForward(Bytes bytes) noexcept {
  // Rows behind a first one come without being looked at, also those of a run that was refuted meanwhile.
  if (In<Discarding>()) return;
  if (!holding_) return WriteClient(bytes);
  if (Comparing() && check_->failed()) return;
  held_ += AsText(bytes);
  if (held_.size() <= kHeldBytes) return;
  if (Comparing()) {  // the answer at hand is shorter
    held_ = std::string();
    return check_->Fail(SelfCheckOutcome::kTooLong);
  }
  if (check_ != nullptr) EndCheck(SelfCheckOutcome::kTooLong);
  if (unconfirmed_) connection_->PauseReading(true, Stream::kBusy);
  else ReleaseHeld();
}

}  // namespace waypost
