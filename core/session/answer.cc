// How a batch ends that the server did not end: errors of ours, a server that is lost, a failed block.
#include "core/session/session.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {

// The batch is as if it had not been sent. `unseen`: the client heard nothing of this run; what a run that is thrown away has
// named, the next one names again.
void Session::RewindBatch(bool unseen) {
  if (unseen) names_.UndoBatch();
  // What was not undone yet ended with its server.
  for (auto i = batch_->effects.size(); i-- > 0;) {
    auto& effect = batch_->effects[i];
    if (effect.sent && effect.kind != Effect::Kind::kInjected && effect.OfUnnamed() &&
        (i < batch_->effect || connection_ == nullptr))
      names_.SetUnnamed(std::move(effect.unnamed_before));
  }
  batch_->sent = 0;
  batch_->begun = false;
  batch_->begin_sequence = 0;
  batch_->refusal_sequence = 0;
  batch_->shape_wait = ShapeWait::kNone;
  batch_->reshaped = false;
  batch_->retold.clear();
  batch_->effects.clear();
  batch_->renamed.clear();
  batch_->effect = 0;
  batch_->failed = false;
  batch_->sqlstate = {};
  batch_->ran_any = false;
  batch_->waited = true;
  batch_->ran_at = 0;
  for (auto& run : batch_->ran) run.rows = 0;
}

void Session::EndBatch() {
  TellBatch();
  LeaveFence();
  waiting_since = {};
  past_.rested = env_.Now();
  hold_.End();
  inbox_.EndLarge();
  give_up_at = TimePoint::max();
  deadline_.Clear();
  if (check_ != nullptr) EndCheck(SelfCheckOutcome::kFailed);
  names_.EndBatch();
  YieldDatabases();
  if (batch_ && batch_->dispatched) ++past_.statements;
  if (batch_) common_.batches.Give(std::move(batch_));
}

void Session::AnswerBatch(const std::string& error, char status) {
  // Everything of the batch is answered by the error alone, as PostgreSQL skips to Sync after one.
  CountError(true);
  if (common_.times_statements()) NoteSqlState(ReadError(FieldsOf(error)).sqlstate);
  // One that failed before its server was lost has had its error.
  std::string out = batch_->error_told ? std::string() : error;
  const bool large_query = inbox_.LargeQuery();
  const bool cut_series = batch_->goes_on && !batch_->simple;  // its Sync is ours
  const bool ready = !cut_series && ready_due_.value_or(batch_->facts.end_known || large_query);
  if (ready) AppendReadyForQuery(out, status);
  else inbox_.SkipToSync(true);
  inbox_.DropNext(large_query);
  if (batch_->goes_on) DropRest(batch_->simple);
  held_.Drop();
  WriteClient(AsBytes(out));
  EndBatch();
}

// The transaction was rolled back where nobody could tell: so is what the session remembers of it.
void Session::ForgetTransaction() {
  transaction_began_ = {};
  settings_.RollBack();
  portals_.Clear();
  SettingsChanged();
}

// What a server would answer to the batch at hand, of which each statement ends with `tag` and returns nothing.
void Session::AppendOwnAnswers(std::string& out, std::string_view tag) {
  for (const auto& message : batch_->messages) {
    const auto body = batch_->BodyOf(message);
    switch (message.type) {
      case 'P': {
        const auto parse = ReadParse(body);
        AppendEmpty(out, '1');
        if (!parse || parse->name.empty()) names_.SetUnnamed(message.statement);
        else names_.Set(parse->name, message.statement);
        break;
      }
      case 'B': AppendEmpty(out, '2'); break;
      case 'C': {
        const auto target = ReadTarget(body);
        AppendEmpty(out, '3');
        if (!target || target->kind != 'S') break;
        if (target->name.empty()) names_.SetUnnamed(nullptr);
        else names_.Set(target->name, nullptr);
        break;
      }
      case 'D': {
        const auto target = ReadTarget(body);
        if (target && target->kind == 'S') MessageBuilder(out, 't').U16(0);
        AppendEmpty(out, 'n');
        break;
      }
      case 'Q': names_.SetUnnamed(nullptr); [[fallthrough]];
      case 'E': AppendCommandComplete(out, tag); break;
      default: break;
    }
  }
}

void Session::AnswerRollback() {
  // COMMIT or ROLLBACK of a block whose server is gone: it was rolled back. Who commits must hear that it was not.
  const auto untold = std::exchange(untold_, {});
  ForgetTransaction();
  if (batch_->commits && !untold.empty()) return AnswerBatch(untold, 'I');
  std::string out;
  AppendOwnAnswers(out, "ROLLBACK");
  if (batch_->facts.end_known && !batch_->goes_on) AppendReadyForQuery(out, 'I');
  WriteClient(AsBytes(out));
  EndBatch();
}

// In a failed block without a server: what is to end it was parsed or bound.
void Session::AnswerReadied() {
  std::string out;
  AppendOwnAnswers(out, {});
  if (batch_->facts.end_known && !batch_->goes_on) AppendReadyForQuery(out, 'E');
  for (const auto& name : batch_->closed_portals) portals_.Close(name);
  if (const auto* unnamed = batch_->portals.Find("")) portals_.Bind("", *unnamed);
  portals_.Merge(std::move(batch_->portals));
  WriteClient(AsBytes(out));
  EndBatch();
}

void Session::OnServerLost(const std::string& error, bool mid_message) noexcept {
  SettleSettings();
  const bool partial = mid_message && !held_.holding() && !In<Discarding>();
  if (EndsClientToo()) {
    failure_ =
        lease_.last_words().error.empty() ? ErrorWithSeverity(FieldsOf(WhyLost(error)), "FATAL") : lease_.last_words().error;
    if (batch_ && batch_->dispatched && !batch_->failed) CountError(true);
    NoteSqlState(ReadError(FieldsOf(failure_)).sqlstate);
    TellBatch();  // the session ends with it
    LoseConnection();
    return Close(failure_, ClientOutcome::kServerError);
  }
  if ((held_.holding() || RunsAgain()) && !Comparing()) env_.metrics().Count(Counter::kReadRetries, RetryCause::kConnectionLost);
  failure_ = WhyLost(error);
  if (!Comparing())
    env_.metrics().Count(Counter::kErrors, ErrorOrigin::kProxy, SqlStateClassIndex(ReadError(FieldsOf(failure_)).sqlstate));
  Lost(connection_->ledger().OwesReady() || EndWaits(), partial);
}

// As from PostgreSQL: the server ended the connection for what the client did, or for what nobody knows and what cannot be
// tried elsewhere.
bool Session::EndsClientToo() const {
  if (connection_->ledger().ReadyUnsure()) return true;
  if (In<Discarding>() || Comparing()) return false;  // the client gets another answer
  const auto* relaying = std::get_if<Relaying>(&state_);
  if (lease_.last_words().ending == ServerEnding::kUnknown) return relaying == nullptr || !relaying->MayRerun();
  return lease_.last_words().ending == ServerEnding::kConduct;
}

// True if the batch may be sent again, wherever it ran, once: the client has heard nothing, and it changed nothing. A read
// that brings its server down does so no third time.
bool Session::RunsAgain() const {
  if (!In<Relaying>() || !batch_ || batch_->lost || batch_->heard || batch_->timed_out) return false;
  if (Comparing()) return false;  // the client gets the answer at hand
  const auto& facts = batch_->facts;
  if (!facts.end_known || !facts.retained) return false;
  // Where the connection had been idle for too long, nothing was looked at.
  return lease_.last_words().ending == ServerEnding::kIdle || (facts.cls == Class::kRead && facts.repeatable);
}

// True if its client hears nothing of it when the connection is lost now: the batch runs again, or its answer is thrown away.
bool Session::MayRunElsewhere() const {
  if (EndsClientToo() || MidMessage()) return false;
  if (In<Discarding>()) return true;
  return In<Relaying>() && !Comparing() && (std::get<Relaying>(state_).MayRerun() || RunsAgain());
}

// An ErrorResponse for the batch under way, or for the next one.
std::string Session::WhyLost(const std::string& error) const {
  // In a block nothing was committed. Else a write that was not answered may or may not have happened.
  const auto* relaying = std::get_if<Relaying>(&state_);
  const auto* fencing = std::get_if<FencingHere>(&state_);
  const bool in_block = relaying != nullptr ? relaying->block : fencing != nullptr ? fencing->block : In<InBlock>();
  const bool may_have_run =
      relaying != nullptr && relaying->decision.target != Target::kReplica && batch_ && batch_->facts.cls != Class::kRead;
  const bool ends_client = In<Auditing>() || pinned_by() != PinReason::kNone || (fencing != nullptr && !fencing->block);
  if (ends_client && !lease_.last_words().error.empty()) return lease_.last_words().error;
  const std::string_view sqlstate = in_block && !(batch_ && batch_->ends_block) ? "40001" : may_have_run ? "08007" : "08006";
  const auto said =
      lease_.last_words().error.empty() ? std::string_view(error) : ReadError(FieldsOf(lease_.last_words().error)).message;
  return ErrorMessage({.severity = ends_client ? "FATAL" : "ERROR",
                       .sqlstate = sqlstate,
                       .message = "the connection to server \"" + connection_->server().name + "\" was lost",
                       .detail = said,
                       .hint = sqlstate == "08007" ? "Whether the statement was committed is not known." : ""});
}

// The end of the batch is here and was not sent: the client waits for its ReadyForQuery.
bool Session::EndWaits() const {
  if (!batch_ || batch_->sent == batch_->messages.size()) return false;
  const char last = batch_->messages.back().type;
  return last == 'S' || last == 'Q' || last == 'F';
}

void Session::LoseConnection() {
  common_.AddOutstanding(std::exchange(connection_, nullptr)->id(), -1);
  lease_.End();
  ties_.EndLease();
  block_.LeftServer();
  // It may have been committed all the same.
  if (batch_) RenewDatabases(batch_->renewed);
  CatalogChanged(std::max(std::exchange(ddl_pending_, CatalogChange::kNone), batch_ ? batch_->catalog : CatalogChange::kNone));
}

// The server connection is gone; `failure_` says why. `ready_due`: the client waits for a ReadyForQuery.
void Session::Lost(bool ready_due, bool partial) {
  const bool unheard = RunsAgain();
  const bool unseen = held_.holding() || unheard;
  const bool moves = (In<InBlock>() || In<FencingHere>()) && !partial && BlockMayMove();
  if (unheard) batch_->holds_off = lease_.last_words().ending != ServerEnding::kIdle && !OnReplica();
  LoseConnection();
  LeaveFence();
  held_.Drop();
  // A read that was refuted is still to run on a replica.
  if (check_ != nullptr && !check_->answered() && !In<Discarding>()) EndCheck(SelfCheckOutcome::kElsewhere);
  const bool nothing_sent = In<FencingHere>() && batch_ && !batch_->begun;
  if (!nothing_sent) inbox_.EndLarge();
  (void)inbox_.LoseServer();
  stream_->Resume(Stream::kPeerSlow);
  if (batch_) {
    if (!nothing_sent) ready_due_ = ready_due;
    RewindBatch(unseen);
  }
  if (partial) failure_.clear();  // in the middle of a message nothing can be said
  if (moves) {
    ready_due_.reset();
    Take(Moved{});
    if (!batch_) return ProcessInput();
    Dispatch();
    return CancelAgain();
  }
  // Between two batches of a block there is nothing to answer: the next one hears of it.
  if (In<InBlock>()) untold_ = failure_;
  if (batch_ && unheard) batch_->lost = true;
  const bool ends_block = batch_ && batch_->ends_block;
  const bool rolls_back = ends_block && !batch_->commits && !batch_->heard && LoneStatement().facts != nullptr;
  Take(ServerLost{partial, unheard, ends_block, rolls_back});
  ready_due_.reset();
  CancelAgain();
  if (closed_) return;
  if (!In<FailedBlock>()) ForgetTransaction();
  ProcessInput();
}

}  // namespace waypost
