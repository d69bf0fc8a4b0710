// What the log says of a session and, if they are asked to, the log and a trace of its statements.
#include <array>

#include "core/base/log.h"
#include "core/observe/span_exporter.h"
#include "core/session/session.h"
#include "parser/sql/tokens.h"
#include "parser/wire/backend.h"
#include "parser/wire/fields.h"

namespace waypost {
namespace {

std::string_view ServerName(const ClusterView& view, std::optional<ServerId> id) {
  return id && *id < view.servers.size() ? std::string_view(view.servers[*id].name) : std::string_view();
}

// What came of a batch, for whoever is told of it; "": none. Valid as long as the batch and the view.
struct Outcome {
  Duration took, server;
  std::string_view server_name, target, reason, sqlstate;
};

Outcome OutcomeOf(const Batch& batch, const ClusterView& view, TimePoint now) {
  const bool failed = batch.sqlstate[0] != 0;
  return {.took = now - batch.started,
          .server = batch.sent_at == TimePoint{} ? Duration{} : now - batch.sent_at,
          .server_name = ServerName(view, batch.ran_on),
          .target = batch.went ? TargetName(batch.went->target) : std::string_view(),
          .reason = batch.went ? ReasonName(batch.went->reason) : std::string_view(),
          .sqlstate = {batch.sqlstate.data(), failed ? batch.sqlstate.size() : 0}};
}

std::chrono::system_clock::time_point Began(Duration took) {
  return std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(took);
}

}  // namespace

// As the census has it.
std::string Session::LogId() const { return SessionIdText({env_.index(), past_.number}); }

const std::string& Session::Peer() const {
  if (peer_.empty() && stream_ != nullptr) peer_ = stream_->PeerName();
  return peer_;
}

void Session::Say(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
  if (!LogEnabled(level)) return;
  const auto id = LogId();
  const auto server = connection_ == nullptr ? std::nullopt : std::optional(connection_->id());
  const std::array<LogField, 6> about = {{{"session", id},
                                          {"client", Peer()},
                                          {"user", user_},
                                          {"database", database_},
                                          {"application_name", application_},
                                          {"server", ServerName(env_.view(), server)}}};
  Log(level, event, fields, about);
}

// While statements are timed: the batch at hand begins to wait for something, or has it.
void Session::TimeWait(Batch::Wait wait) {
  if (!common_.times_statements() || !batch_) return;
  auto& since = batch_->waits_since;
  if (since == TimePoint{}) since = env_.ExactNow();
  batch_->waits_for = wait;
  auto& first = wait == Batch::Wait::kPool ? batch_->pool_since : batch_->fence_since;
  if (first == TimePoint{}) first = since;
}

void Session::EndWait() {
  if (!batch_ || batch_->waits_since == TimePoint{}) return;
  auto& took = batch_->waits_for == Batch::Wait::kPool ? batch_->pool_wait : batch_->fence_wait;
  took += env_.ExactNow() - std::exchange(batch_->waits_since, {});
}

void Session::NoteSqlState(std::string_view sqlstate) {
  if (batch_ && batch_->sqlstate[0] == 0) sqlstate.copy(batch_->sqlstate.data(), batch_->sqlstate.size());
}

// The batch at hand has ended.
void Session::TellBatch() {
  if (!batch_ || !common_.times_statements()) return;
  EndWait();
  if (batch_->ran.empty() && !batch_->ran_any && batch_->sqlstate[0] == 0) return;  // it only prepared something
  const auto now = env_.ExactNow();
  if (common_.query_log.on() && common_.query_log.Wants(now - batch_->started, env_.Random())) LogBatch(now);
  if (common_.tracing.on()) TraceBatch(now);
  if (common_.follows() && common_.followed->Follows(past_.number, now)) FollowBatch(now);
}

std::uint64_t Session::RowsOfBatch() const {
  std::uint64_t rows = 0;
  for (const auto& run : batch_->ran) rows += run.rows;
  return rows;
}

void Session::LogBatch(TimePoint now) {
  const auto& b = *batch_;
  const auto outcome = OutcomeOf(b, env_.view(), now);
  const auto id = LogId();
  const std::array<LogField, 10> about = {
      {{"session", id},
       {"client", Peer()},
       {"user", user_},
       {"database", database_},
       {"application_name", application_},
       {"server", outcome.server_name},
       {"target", outcome.target},
       {"reason", outcome.reason},
       {"pin", pinned_by() == PinReason::kNone ? std::string_view() : PinReasonName(pinned_by())},
       {"sqlstate", outcome.sqlstate}}};
  LogAsked("query",
           {{"took_ms", outcome.took},
            {"pool_ms", b.pool_wait},
            {"fence_ms", b.fence_wait},
            {"server_ms", outcome.server},
            {"rows", RowsOfBatch()},
            {"bytes", b.answered_bytes},
            {"statements", b.ran.size()},
            {"query", LoggedText()}},
           about);
}

void Session::TraceBatch(TimePoint now) {
  const auto& b = *batch_;
  const auto text = TextOfBatch();
  const auto parent = TraceParentIn(text, lexing_);
  if (!common_.tracing.Wants(parent, env_.Random())) return;
  const auto random = [this] { return env_.Random(); };
  const auto phase = [&](TimePoint since, Duration took) {
    return since == TimePoint{} ? TracedStatement::Phase{} : TracedStatement::Phase{since - b.started, took};
  };
  const auto outcome = OutcomeOf(b, env_.view(), now);
  TracedStatement traced;
  traced.trace = parent ? parent->trace : NewTraceId<32>(random);
  traced.span = NewTraceId<16>(random);
  if (parent) traced.parent = parent->span;
  traced.took = outcome.took;
  traced.began = Began(outcome.took);
  traced.pool = phase(b.pool_since, b.pool_wait);
  traced.fence = phase(b.fence_since, b.fence_wait);
  traced.server = phase(b.sent_at, outcome.server);
  traced.text = WithoutLiterals(text.substr(0, 4 * kMaxLoggedTextBytes), lexing_, kMaxLoggedTextBytes);
  traced.session = LogId();
  traced.client = Peer();
  traced.user = user_;
  traced.database = database_;
  traced.application = application_;
  traced.server_name = outcome.server_name;
  traced.target = outcome.target;
  traced.reason = outcome.reason;
  traced.sqlstate = outcome.sqlstate;
  traced.rows = RowsOfBatch();
  traced.bytes = b.answered_bytes;
  traced.statements = b.ran.size();
  env_.shared().spans->Offer(std::move(traced));
}

void Session::FollowBatch(TimePoint now) {
  const auto& b = *batch_;
  const auto outcome = OutcomeOf(b, env_.view(), now);
  FollowedStatement told;
  told.took = outcome.took;
  told.began = Began(outcome.took);
  told.pool = b.pool_wait;
  told.fence = b.fence_wait;
  told.server = outcome.server;
  told.text = TextWithoutLiterals(FollowedSessions::kMaxTextBytes);
  told.server_name = outcome.server_name;
  told.target = outcome.target;
  told.reason = outcome.reason;
  if (const auto pin = pinned_by(); pin != PinReason::kNone) told.pin = PinReasonName(pin);
  told.sqlstate = outcome.sqlstate;
  told.rows = RowsOfBatch();
  told.bytes = b.answered_bytes;
  told.statements = b.ran.size();
  common_.followed->Add(past_.number, std::move(told));
}

// Of the batch's first statement, at most `most` bytes and three dots.
std::string Session::TextWithoutLiterals(std::size_t most) {
  // The digests know it already, if they are on.
  if (const auto* digest = batch_->ran.empty() ? nullptr : common_.digests.Find(batch_->ran.front().note)) return *digest->text;
  return WithoutLiterals(TextOfBatch().substr(0, 4 * most), lexing_, most);
}

// Of the batch's first statement.
std::string Session::LoggedText() {
  const auto text = TextOfBatch();
  if (common_.query_log.literals() && !text.empty()) {
    std::string shown(text.substr(0, kMaxLoggedTextBytes));
    if (shown.size() < text.size()) shown += "...";
    return shown;
  }
  return TextWithoutLiterals(kMaxLoggedTextBytes);
}

}  // namespace waypost
