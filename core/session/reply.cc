// Replies on their way to the client. What they change in the session: session_effects.cc.
#include <algorithm>

#include "core/base/release.h"
#include "core/session/session.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "parser/wire/frontend.h"
#include "routing/process_ids.h"
#include "routing/server_ending.h"

namespace waypost {
namespace {

// Once one of these has come, the statement has run: nothing is thrown away any more.
bool IsDecisive(char type) {
  switch (type) {
    case '1':
    case '2':
    case '3':
    case 't':
    case 'T':
    case 'n':
    case 'N':
    case 'S':
    case 'E': return false;
    default: return true;
  }
}

// False for what may come between two statements that set something, and looks at nothing that is set.
bool MayAskSettings(char type) {
  switch (type) {
    case '1':
    case '2':
    case '3':
    case 'n':
    case 'C':
    case 'D':
    case 'T': return false;
    default: return true;
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
  if (!unapplied_.empty() && MayAskSettings(header.type)) SettleSettings();
  if (batch_ && !batch_->effects.empty() && !RunEffects(answer, header.type, body)) return Relayed::kSkip;
  if (In<Discarding>()) return Relayed::kDrop;
  if (header.type == 'Z' && connection_->status() == 'I') TransactionEnded();
  const bool ran = IsDecisive(header.type) || (header.type == 'T' && answer.entry == 'Q');
  if (ran && batch_ && answer.entry != 0 && answer.reply == Reply::kForward) batch_->ran_any = true;
  if (header.type == 'D' && In<Auditing>()) ties_.TakeAuditRow(body);
  if (header.type == 'D' && held_.ended() && Comparing()) check_->primary_now = ReadPrimaryNow(body);
  switch (header.type) {
    case 'C':
    case 'I':
    case 's':
      CountCompletion(answer, header.type, body);
      if (answer.entry == 'Q' && RefusesCommit()) return Relayed::kSkip;  // the error takes its place
      break;
    case 'E': return OnError(answer, body, replacement);
    case 'N': return OnNotice(body);
    case 'A': WithClientPid(body, replacement); return Relayed::kForward;
    case 'S':
      if (const auto status = ReadParameterStatus(body)) {
        // What our own messages cause the client is not told.
        if (!connection_->ledger().Swallowing() && !TellsParameter(status->first, status->second)) return Relayed::kSkip;
        OnParameter(status->first, status->second);
      }
      return Relayed::kForward;
    case 'Z':
      if (answer.reply == Reply::kForward && RefusesCommit()) AppendUnreplicated(replacement);
      if (answer.reply == Reply::kForward) AppendParametersReset(replacement);
      if (batch_ && batch_->goes_on && answer.reply == Reply::kForward && !(batch_->simple && batch_->failed))
        return replacement.empty() ? Relayed::kSkip : Relayed::kForward;
      if (!replacement.empty()) AppendReadyForQuery(replacement, connection_->status());
      break;
    default: break;
  }
  if (held_.holding() && answer.reply == Reply::kForward && IsDecisive(header.type)) ReleaseHeld();
  return Relayed::kForward;
}

Relayed Session::OnNotice(Bytes body) {
  const auto notice = ReadError(body);
  if (IsUnreplicated(notice.sqlstate, notice.routine)) {
    env_.metrics().Count(Counter::kUnreplicatedAcks, connection_->id());
    if (batch_) batch_->unreplicated = true;
  }
  if (!IsLastNotice(notice.sqlstate, notice.routine)) return Relayed::kForward;
  lease_.NoteLastWords(ServerEnding::kServer, ErrorWithSeverity(body, "FATAL"));
  return Relayed::kSkip;
}

// The commit is done on the primary, and may be lost with it.
bool Session::RefusesCommit() const { return batch_ && batch_->unreplicated && env_.config().cluster.strict_commit; }

void Session::AppendUnreplicated(std::string& out) {
  AppendError(out, {.sqlstate = "40003",
                    .message = "the commit is not known to be on any synchronous standby",
                    .detail = "The transaction has committed on server \"" + connection_->server().name +
                              "\", where its wait for synchronous standbys was cancelled.",
                    .hint = "Whether it outlives a fail-over is not known."});
  batch_->unreplicated = false;
}

// A notification names the backend that sent it: the client knows its own by the process id that it was told at log-in.
void Session::WithClientPid(Bytes body, std::string& replacement) const {
  if (body.size() < sizeof(std::uint32_t)) return;
  const auto sender = ReadU32(body.data());
  const auto told = SenderTold(sender, connection_->login().pid(), cancel_pid());
  if (told != sender) MessageBuilder(replacement, 'A').U32(told).Raw(body.subspan(sizeof told));
}

// True if `error` says that DDL has changed what the batch's first message returns, and the client is about to hear what
// it returns now: without that it would read the new rows as the old ones.
bool Session::PlanChanged(const Answer& answer, const ErrorView& error) const {
  if (error.sqlstate != "0A000" || error.routine != "RevalidateCachedQuery" || !batch_) return false;
  const auto& b = *batch_;
  if (!b.facts.end_known || !b.facts.retained || b.messages.empty() || b.ran_any) return false;
  const auto& first = b.messages.front();
  return first.sequence == answer.sequence && first.statement && !first.statement->by_sql() && AsksShape(0);
}

bool Session::MayHeal(std::string_view sqlstate) const {
  // 57014 is the client's own cancel or statement_timeout; class 22 is the data's fault, wherever it is read.
  if (sqlstate == "57014" || sqlstate.starts_with("22")) return false;
  // What a replica that is proved fresh does not find is not there; one that is not may not have heard of it.
  return !(batch_ && batch_->fenced && sqlstate.starts_with("42"));
}

Relayed Session::OnError(const Answer& answer, Bytes body, std::string& replacement) {
  const auto error = ReadError(body);
  if (error.severity == "FATAL" || error.severity == "PANIC") {
    // The server connection ends, the client's only where it must: see OnServerLost.
    std::string last_words;
    MessageBuilder(last_words, 'E').Raw(AsBytes(WithClientNames(AsText(body), answer)));
    lease_.NoteLastWords(EndingBy(error.severity, error.sqlstate), std::move(last_words));
    env_.metrics().Count(Counter::kErrors, ErrorOrigin::kServer, SqlStateClassIndex(error.sqlstate));
    return Relayed::kSkip;
  }
  if (answer.reply == Reply::kTry) return Relayed::kSkip;  // nobody has asked for it
  // What was sent to ask is skipped.
  if (batch_ && batch_->shape_wait == ShapeWait::kAsked) batch_->shape_wait = ShapeWait::kAnswered;
  if (Comparing() && (answer.reply != Reply::kSwallow || held_.ended())) {  // the client gets the answer at hand
    check_->Fail(SelfCheckOutcome::kFailed);
    return Relayed::kSkip;
  }
  if (check_ != nullptr && answer.reply != Reply::kSwallow) EndCheck(SelfCheckOutcome::kError);
  if (answer.reply == Reply::kSwallow) {
    if (In<Auditing>()) ties_.AuditFailed();
    else if (answer.entry == 'Q') SettingsFailed(body, batch_ && answer.sequence == batch_->begin_sequence);
    return Relayed::kSkip;
  }
  if (PlanChanged(answer, error)) {
    Take(HeldError{.unbegun = true});
    if (In<Discarding>()) {
      MarkStale(batch_->messages.front());
      held_.Drop();
      LeaveFence();
      env_.metrics().Count(Counter::kReadRetries, RetryCause::kPlanChanged);
      return Relayed::kDrop;
    }
  }
  // In a block that the client made READ ONLY that error is its own.
  const bool own = error.sqlstate == "25006" && In<Relaying>() && std::get<Relaying>(state_).opens;
  const bool reshaped = batch_ && batch_->reshaped && answer.sequence == batch_->refusal_sequence;
  if (held_.holding() && !own && (reshaped || MayHeal(error.sqlstate))) {
    Take(HeldError{});
    if (In<Discarding>()) {
      held_.Drop();
      LeaveFence();
      const bool read_only = error.sqlstate == "25006";
      Say(LogLevel::kInfo, "read_rerun", {{"sqlstate", error.sqlstate}});
      env_.metrics().Count(Counter::kReadRetries, read_only                   ? RetryCause::kReadOnlyError
                                                  : reshaped                  ? RetryCause::kPlanChanged
                                                  : error.sqlstate == "40001" ? RetryCause::kRecoveryConflict
                                                                              : RetryCause::kOtherError);
      if (read_only) {
        env_.metrics().Count(Counter::kMisrouted, connection_->id());
        for (const auto& message : batch_->messages) {
          const auto text = batch_->BodyOf(message);
          if (message.type == 'Q') common_.cache.Teach(AsText(text).substr(0, text.size() - 1), lexing_);
          if (message.statement) common_.cache.Teach(message.statement->sql->text, lexing_);
        }
      }
      return Relayed::kDrop;
    }
  }
  ReleaseHeld();
  if (batch_ && !batch_->ran_any && NothingRan(answer, error)) {
    batch_->pin = PinReason::kNone;
    batch_->unseen = batch_->unlisted = batch_->audit = false;
  }
  if (batch_ && !batch_->failed) CountError(false);
  if (batch_) batch_->failed = true;
  NoteSqlState(error.sqlstate);
  if (batch_ && !held_.holding()) batch_->error_told = true;
  env_.metrics().Count(Counter::kErrors, ErrorOrigin::kServer, SqlStateClassIndex(error.sqlstate));
  // 25P02 stays: in a failed block nothing is looked at.
  if (batch_ && answer.sequence != 0 && answer.sequence == batch_->refusal_sequence && error.sqlstate == kRefusedState) {
    if (reshaped) AppendReshaped(replacement);
    else replacement = batch_->refusal;
    return Relayed::kForward;
  }
  if (batch_ && batch_->timed_out && error.sqlstate == "57014") {
    AppendError(replacement, {.sqlstate = "57014", .message = "canceling statement due to statement timeout"});
    return Relayed::kForward;
  }
  // The server knows statements by our names.
  const bool moved = error.placed && batch_ && !batch_->renamed.empty();
  if (moved || AsText(body).find(env_.statements().prefix()) != std::string_view::npos) {
    const auto fields = WithClientNames(AsText(body), answer);
    MessageBuilder(replacement, 'E').Raw(AsBytes(fields));
  }
  return Relayed::kForward;
}

void Session::SettingsFailed(Bytes body, bool begin) {
  const auto error = ReadError(body);
  Say(LogLevel::kWarn, begin ? "begin_failed" : "settings_failed", {{"sqlstate", error.sqlstate}});
  // What follows runs under settings that are not the client's: nothing of it may be shown, and the connection goes.
  failure_.clear();
  AppendError(failure_, {.sqlstate = error.sqlstate.empty() ? "XX000" : error.sqlstate,
                         .message = begin ? "could not begin the transaction on the server"
                                          : "could not restore the session's settings on the server",
                         .detail = error.message});
  auto* lost = connection_;
  const bool ready_due = lost->ledger().OwesReady() || EndWaits();
  lost->EndLease();
  if (batch_) batch_->lost = true;  // it would fail again
  Lost(ready_due, false);
  lost->OnClosed(begin ? "a transaction could not be begun on it" : "the session's settings could not be restored on it");
}

void Session::OnSynthesised(char type, std::uint64_t sequence, std::string& out) noexcept {
  const Answer answer{Reply::kSynthesise, type, sequence, true};
  constexpr char kCloseComplete = '3';  // of all else the server answers itself
  if (batch_) (void)RunEffects(answer, kCloseComplete, {});
  if (!In<Discarding>()) AppendEmpty(out, kCloseComplete);
}

void Session::ReleaseHeld() {
  if (!held_.MayGo() || check_ != nullptr) return;  // what is checked is held until it is whole
  const auto held = held_.Take();
  Take(Forwarding{});
  if (held.empty()) return;
  if (batch_) batch_->heard = true;
  WriteClient(AsBytes(held));
}

void Session::OnForward(Bytes bytes) noexcept {
  // Rows behind a first one come without being looked at, also those of a run that was refuted meanwhile.
  if (In<Discarding>()) return;
  if (!held_.holding()) {
    if (batch_) batch_->heard = true;
    return WriteClient(bytes);
  }
  if (Comparing() && check_->failed()) return;
  held_.Keep(bytes);
  if (!held_.too_long()) return;
  if (Comparing()) {  // the answer at hand is shorter
    held_.Clear();
    return check_->Fail(SelfCheckOutcome::kTooLong);
  }
  if (check_ != nullptr) EndCheck(SelfCheckOutcome::kTooLong);
  if (held_.unproved()) connection_->PauseReading(true, Stream::kBusy);
  else ReleaseHeld();
}

}  // namespace waypost
