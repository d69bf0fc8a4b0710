#include "core/session/session.h"

#include <algorithm>

#include "core/base/release.h"
#include "core/config/credentials.h"
#include "core/net/system_user.h"
#include "core/net/tls_stream.h"
#include "core/session/paused.h"
#include "parser/wire/encode.h"
#include "routing/health.h"

namespace waypost {
namespace {

// postgres src/backend/tcop/postgres.c: MAX_CANCEL_KEY_LENGTH, and what protocol 3.0 has
constexpr std::size_t kLongSecretBytes = 32, kShortSecretBytes = 4;

}  // namespace

Session::Session(Env& env, SessionCommon& common, std::unique_ptr<Stream> stream, std::string peer, std::uint32_t slot,
                 std::string_view listener)
    : env_(env),
      common_(common),
      stream_(std::move(stream)),
      login_(std::make_unique<ClientLogin>(env, common.logins, *this)),
      peer_(std::move(peer)),
      slot_(slot),
      cancel_pid_(common.host.CancelPid(slot)),
      secret_(RandomBytes(kShortSecretBytes)),
      listener_(listener),
      settings_(env.settings()),
      last_active_(env.Now()),
      traffic_(&common.unlogged) {
  BeginPast();
}

void Session::BeginPast() {
  past_.number = env_.shared().sessions_numbered.fetch_add(1, std::memory_order_relaxed) + 1;
  past_.connected = past_.rested = env_.Now();
}

Session::~Session() = default;

void Session::StartTls(const TlsContextRef& context, Bytes read, bool alpn) {
  auto tls = TlsStream::Accept(env_.loop(), context, std::move(stream_), alpn, *this);
  auto& stream = *tls;
  stream_ = std::move(tls);
  shaking_hands_ = true;
  stream.Begin(read);
}

// The TLS handshake is done.
void Session::OnConnected() noexcept {
  shaking_hands_ = false;
  env_.metrics().Count(Counter::kTlsHandshakes, TlsOutcome::kOk);
}

void Session::UseLongSecret() { secret_ = RandomBytes(kLongSecretBytes); }

void Session::OnLoggedIn(ClientIdentity identity, const std::string& greeting) {
  user_ = std::move(identity.user);
  database_ = std::move(identity.database);
  env_.shared().database_claims.ClientCame(database_);
  traffic_ = &common_.traffic.Of(database_);
  settings_.Start(std::move(identity.startup));
  only_at_start_ = std::move(identity.only_at_start);
  defaults = identity.defaults;
  starts_read_committed_ = identity.read_committed;
  greeted_ = std::move(identity.parameters);
  for (const auto& [name, value] : *greeted_) OnParameter(name, value);
  OnConfigChanged();
  SettingsChanged();
  past_.rested = env_.Now();
  env_.metrics().Count(Counter::kClientConnects, ClientOutcome::kOk);
  Say(LogLevel::kDebug, "client_connected", {});
  WriteClient(AsBytes(greeting));
  common_.host.Bury(std::move(login_));
}

void Session::OnConfigChanged() {
  policy_.routing = env_.config().RoutingFor(Who());
  policy_.rules = env_.config().rules.SessionMask(Who());
  policy_.pool = env_.config().PoolFor(user_, database_);
}

void Session::WriteClient(Bytes bytes) {
  if (closed_) return;
  env_.metrics().CountMany(Counter::kBytes, bytes.size(), Side::kClient, Direction::kOut);
  traffic_->sent += bytes.size();
  if (batch_) batch_->answered_bytes += bytes.size();
  if (stream_->Write(bytes)) return;
  client_full_ = true;
  if (connection_ != nullptr) connection_->PauseReading(true);
}

void Session::OnDrained() noexcept {
  client_full_ = false;
  if (connection_ != nullptr) connection_->PauseReading(false);
  if (console_) return console_->GoOn();
  if (!login_) ProcessInput();
}

// --- the machine

void Session::Take(const Event& event) {
  const auto step = Advance(state_, event);
  if (!step.expected) NoteUnexpected(event);
  state_ = step.next;
  for (const auto verb : step.todo) Carry(verb);
}

void Session::NoteUnexpected(const Event& event) {
  env_.metrics().Count(Counter::kUnexpectedEvents);
  Say(LogLevel::kError, "session_event_unexpected", {{"state", StateName(state_)}, {"event", EventName(event)}});
}

void Session::Carry(Do verb) {
  switch (verb) {
    case Do::kNothing: return;
    case Do::kJoinFence: return JoinFence();
    case Do::kSettle: return SettleFirst();
    case Do::kAcquire: return Acquire();
    case Do::kSend: return Send();
    case Do::kAnswerError:
      if (Comparing()) return AnswerUnchecked();
      return AnswerBatch(failure_, In<FailedBlock>() ? 'E' : 'I');
    case Do::kAnswerFailed:
      if (EndsBlockAlone()) return Take(BlockEnded{});
      if (OnlyReadies()) return AnswerReadied();
      if (!untold_.empty()) return AnswerBatch(std::exchange(untold_, {}), 'E');
      return AnswerBatch(
          ErrorMessage({.sqlstate = "25P02",
                        .message = "current transaction is aborted, commands ignored until end of transaction block"}),
          'E');
    case Do::kAnswerKept: return AnswerKept();
    case Do::kAnswerRollback: return AnswerRollback();
    case Do::kDiscard: return;  // OnReply drops what comes from now on
    case Do::kAudit: return SendAudit();
    case Do::kRelease: return LetGo(true);
    case Do::kCloseServer: return LetGo(false);
    case Do::kCloseClient:
      return Close(failure_.empty() ? "" : ErrorWithSeverity(FieldsOf(failure_), "FATAL"), ClientOutcome::kServerError);
  }
}

void Session::CountDecision(const Decision& decision) {
  auto& metrics = env_.metrics();
  auto target = decision.target;
  if (target == Target::kHeld) target = OnReplica() ? Target::kReplica : Target::kPrimary;
  metrics.Count(Counter::kQueries, target, decision.reason);
  past_.target = target;
  past_.reason = decision.reason;
  if (past_.statement) past_.statement.reset();
  if (!batch_->ran.empty()) last_note_ = batch_->ran.back().note;
  batch_->went = decision;
  for (auto rules = batch_->rules; rules != 0; rules &= rules - 1)
    metrics.Count(Counter::kRuleMatches, env_.RuleId(*RuleSet::First(rules)));
  if (decision.reason == Reason::kNoEligibleReplica) metrics.Count(Counter::kRoutingFallbacks, FallbackCause::kNoEligibleReplica);
  if (decision.reason == Reason::kReplicaBehind) metrics.Count(Counter::kRoutingFallbacks, FallbackCause::kReplicaBehind);
}

void Session::Acquire() {
  const auto& decision = std::get<Acquiring>(state_).decision;
  const auto& view = env_.view();
  wait_.Leave();
  if (give_up_at == TimePoint::max() && policy_.pool.query_wait_timeout.count() > 0)
    give_up_at = env_.Now() + policy_.pool.query_wait_timeout;
  if (decision.target == Target::kRefuse) {
    failure_ =
        decision.reason == Reason::kRefused ? batch_->refusal
        : decision.reason == Reason::kTransaction
            ? ErrorMessage({.sqlstate = "0A000", .message = "transaction blocks are not allowed with pool mode \"statement\""})
            : ErrorMessage(
                  {.sqlstate = "57P03", .message = "no replica may be read from now, and read_from_primary = \"never\""});
    return Take(NoLease{});
  }
  if (HeldByPause()) {
    if (decision.target == Target::kReplica) return OnServerUnreachable();
    return AwaitPrimary();
  }
  const bool primary = decision.target == Target::kPrimary;
  if (primary && (!view.primary || env_.OutOfTouch() || std::exchange(batch_->holds_off, false))) {
    env_.shared().probe_now();
    return AwaitPrimary();
  }
  const auto server = primary ? *view.primary : decision.server;
  if (pools_.size() <= server) pools_.resize(server + std::size_t{1});
  if (pools_[server] == nullptr) pools_[server] = &common_.pools.Get({server, database_, user_, only_at_start_});
  wait_.InPool(*pools_[server]);
  wanted_settings = settings_.session().get();
  if (auto* connection = pools_[server]->Acquire(*this)) return OnServerConnection(*connection);
  batch_->waited = true;
  TimeWait(Batch::Wait::kPool);
}

void Session::OnServerConnection(PooledConnection& pooled) noexcept {
  auto& connection = static_cast<ServerConnection&>(pooled);  // a Worker opens no others
  wait_.Answered();
  ++traffic_->assignments;
  if (waiting_since != TimePoint{}) traffic_->wait_time += env_.Now() - waiting_since;
  waiting_since = {};
  EndWait();
  give_up_at = TimePoint::max();
  if (hold_.held()) env_.metrics().Count(Counter::kHeldTotal, HoldOutcome::kWentOn);
  hold_.End();
  if (connection.id() == env_.view().primary && env_.OutOfTouch()) {
    connection.pool().Release(connection);
    return AwaitPrimary();
  }
  if (!MaySendOn(connection)) {
    connection.pool().Release(connection);
    Take(Behind{});
    if (proof_.index_known()) AwaitReplica();
    return;
  }
  connection_ = &connection;
  batch_->ran_on = connection.id();
  lease_.Begin(std::get<Acquiring>(state_).decision.target == Target::kReplica);
  connection.Lease(*this);
  if (client_full_) connection.PauseReading(true);
  common_.AddOutstanding(connection.id(), 1);
  if (std::get<Acquiring>(state_).decision.may_rerun || check_ != nullptr) held_.Hold();
  Take(Leased{});
  // What belongs to the running batch may wait in the input: copy data, a message too large to gather.
  if (!input_.empty()) ProcessInput();
}

void Session::OnCancelEnded() noexcept {
  if (!input_.empty()) ProcessInput();
}

void Session::OnRelayed() noexcept {
  SettleSettings();
  if (batch_ && batch_->shape_wait == ShapeWait::kAnswered && connection_ != nullptr) Send();
  if (!input_.empty() && In<Relaying>()) ProcessInput();
}

void Session::OnNoServerConnection(std::string_view sqlstate, const std::string& error) noexcept {
  wait_.Answered();
  if (!Comparing()) env_.metrics().Count(Counter::kErrors, ErrorOrigin::kProxy, SqlStateClassIndex(sqlstate));
  // FATAL is what the server said to us; the client's connection goes on.
  failure_ = ErrorWithSeverity(FieldsOf(error), "ERROR");
  Take(NoLease{});
  ProcessInput();
}

void Session::OnServerUnreachable() noexcept {
  wait_.Answered();
  const auto decision = std::get<Acquiring>(state_).decision;
  if (decision.target == Target::kReplica) {
    LeaveFence();
    if (check_ != nullptr) EndCheck(SelfCheckOutcome::kElsewhere);
    return Take(Rerouted{PrimaryInstead(decision)});
  }
  if (Comparing()) {
    Take(NoLease{});
    return ProcessInput();
  }
  AwaitPrimary();
}

// The operator has paused what the batch at hand would do. Behind a read that opens a block it may write.
bool Session::HeldByPause() const {
  if (AllHeld(env_, database_)) return true;
  if (env_.shared().pause.At(env_.Now()) != PauseScope::kWrites) return false;
  const auto& [decision, opens] = std::get<Acquiring>(state_);
  const bool single_read = batch_->facts.cls == Class::kRead && !opens && !batch_->begins;
  return decision.target == Target::kPrimary && !single_read;
}

// The batch is held until there is a primary again: it is tried with the next view.
void Session::AwaitPrimary() {
  wait_.ForPrimary(env_.Now());
  TimeWait(Batch::Wait::kPool);
  give_up_at = TimePoint::max();  // the wait for a connection begins anew
  const auto& limits = env_.config().cluster;
  if (limits.failover_hold.count() == 0 && !HeldByPause())
    return RefuseHeld(HoldOutcome::kGaveUp, "no primary server is available");
  if (!hold_.Begin(env_.shared().held_statements, batch_->bytes.size(), limits, env_.Now()))
    RefuseHeld(HoldOutcome::kRefused, "no primary server is available, and too many statements wait for one");
}

void Session::RefuseHeld(HoldOutcome outcome, std::string_view message) {
  env_.metrics().Count(Counter::kHeldTotal, outcome);
  OnNoServerConnection("57P03", ErrorMessage({.sqlstate = "57P03", .message = message, .detail = WhyNoPrimary(env_.view())}));
}

// The servers were looked at again: what came meanwhile is taken.
void Session::GoOnInTouch() {
  if (!out_of_touch_ || env_.OutOfTouch()) return;
  out_of_touch_ = false;
  ProcessInput();
}

void Session::OnViewChanged() {
  GoOnInTouch();
  if (closed_) return;
  if (!In<Acquiring>()) return;
  const auto decision = std::get<Acquiring>(state_).decision;
  if (decision.target != Target::kPrimary) return;
  const auto& primary = env_.view().primary;
  if (const auto* pool = wait_.pool(); pool != nullptr) {
    if (primary && pool->key().server == *primary) return;
    AwaitPrimary();
  }
  if (wait_.for_primary() && primary && !env_.OutOfTouch()) Acquire();
}

void Session::LetGo(bool clean) {
  if (connection_ != nullptr) SettleSettings();
  auto* connection = std::exchange(connection_, nullptr);
  if (connection == nullptr) return;
  connection->EndLease();
  connection->PauseReading(false);
  connection->PauseReading(false, Stream::kBusy);
  common_.AddOutstanding(connection->id(), -1);
  if (inbox_.LoseServer()) clean = false;  // half a message is on its way to it
  held_.Drop();
  lease_.End();
  ties_.EndLease();
  block_.LeftServer();
  portals_.Clear();
  if (!closed_) stream_->Resume(Stream::kPeerSlow);
  if (clean) return connection->pool().Release(*connection);
  if (closed_ && connection->ready() && !connection->broken() && !connection->ledger().Idle()) {
    // The client is gone, its statement is not: it is cancelled, and the place under the limit is free when it has ended.
    connection->after_cancel = ServerConnection::AfterCancel::kDiscard;
    return common_.cancels.Send(*connection);
  }
  connection->pool().Discard(*connection, closed_ ? DisconnectCause::kClientGone : DisconnectCause::kUnclean);
}

// --- replies that end a batch

void Session::OnBatchDone(char status) noexcept {
  SettleSettings();
  if (held_.unproved()) return held_.End(status);
  // An answer that is thrown away is not the one that the client gets.
  if (check_ == nullptr || In<Discarding>() || Compare(status)) FinishBatch(status);
}

void Session::FinishBatch(char status) {
  auto& b = *batch_;
  if (b.fenced) block_.Proved();
  if (b.ends_block) block_.Chained();
  UndoSkipped(b.effects.size());
  ReleaseHeld();
  const auto now = env_.ExactNow();
  auto& metrics = env_.metrics();
  metrics.Observe(Histogram::kBackendQueryDuration, connection_->id(), now - b.sent_at);
  const auto* relaying = std::get_if<Relaying>(&state_);
  if (relaying != nullptr) metrics.Observe(Histogram::kQueryDuration, relaying->decision.target, now - b.started);
  if (relaying != nullptr) CountBatch(relaying->decision, now - b.started);
  if (relaying != nullptr) CountTraffic(status, now);
  if (b.failed && status == 'I') {
    // An implicit transaction, or one that COMMIT could not save: its settings went with it.
    settings_.RollBack();
    connection_->settings = b.discards ? env_.settings().None() : settings_.session();
    SettingsChanged();
  }
  if (status == 'I') {
    portals_.Clear();
  } else {
    if (!b.failed)
      for (const auto& name : b.closed_portals) portals_.Close(name);
    portals_.Merge(std::move(b.portals));
  }

  if (b.facts.cls != Class::kRead) env_.NoteWrite();

  const auto done = PinsAfter(status);
  const bool rerun = In<Discarding>();
  if (b.goes_on && b.failed && !rerun) DropRest(b.simple);
  if (status == 'I') block_.Ended();
  else if (!rerun) NoteMovable();
  if (relaying != nullptr && !block_.movable()) block_.ForgetBegin();
  if (rerun) RewindBatch(true);
  else EndBatch();
  Take(done);
  if (rerun) CancelAgain();
  else CountPin();
  if (policy_.pool.mode == PoolMode::kStatement && status != 'I' && !closed_) {
    Close(ErrorMessage({.severity = "FATAL",
                        .sqlstate = "0A000",
                        .message = "transaction blocks are not allowed with pool mode \"statement\""}),
          ClientOutcome::kServerError);
    return;
  }
  if (draining_ && (In<Idle>() || In<Pinned>()) && input_.empty()) return Drain(true);
  if (!closed_ && !input_.empty()) ProcessInput();
  if (common_.to_leave > 0 && !closed_ && In<Idle>() && !batch_) common_.host.MayGo(slot_);
}

// --- the end

ClientState Session::client_state() const {
  if (In<Acquiring>() || Proving()) return ClientState::kWaiting;
  if (In<Relaying>() || In<Discarding>()) return ClientState::kActive;
  return In<InBlock>() || In<Begun>() || In<FailedBlock>() ? ClientState::kIdleInTransaction : ClientState::kIdle;
}

// The batch that waits for a server is answered with 57014.
void Session::StopWaiting(std::string_view why) {
  wait_.Leave();
  OnNoServerConnection("57014", ErrorMessage({.sqlstate = "57014", .message = why}));
}

void Session::Cancel() {
  env_.metrics().Count(Counter::kCancelRequests, CancelBatch() ? CancelOutcome::kSent : CancelOutcome::kIdle);
}

// False: nothing runs.
bool Session::CancelBatch() {
  if (console_) return console_->Cancel();
  constexpr std::string_view kWhy = "canceling statement due to user request";
  if (waits_for_reader_) return cancel_when_read_ = true;  // it has not begun yet
  if (SettlesHere()) {  // for a moment: it is sent, and cancelled where it runs
    common_.fence.Leave(*this);
    OnSettled();
  }
  if (wait_.waits()) return StopWaiting(kWhy), true;
  if (Proving()) return GiveUpFence("57014", kWhy), true;
  if (connection_ == nullptr || connection_->ledger().Idle() || In<Auditing>()) return false;
  if (batch_) batch_->cancelled = true;
  common_.cancels.Send(*connection_);
  return true;
}

// Behind a run that the client hears nothing of, the batch may have begun anew: what was cancelled is cancelled there too.
void Session::CancelAgain() {
  if (batch_ && batch_->cancelled) CancelUntilEnded();
}

// True if its client or its server is gone without a word: it acknowledges nothing of what was sent to it.
bool Session::LeavesTheUnreachable() {
  // The waits double: from 200 ms in a local network these are 3 s, for a server that the monitor cannot reach either, and 51 s.
  constexpr unsigned kTimesIfDown = 4, kTimes = 8;
  if (connection_ == nullptr) return false;
  if (stream_->Retransmissions() >= kTimes) {
    Close("", ClientOutcome::kTimeout);
    return true;
  }
  const bool down = !env_.view().servers[connection_->id()].up;
  if (connection_->Retransmissions() < (down ? kTimesIfDown : kTimes)) return false;
  connection_->GiveUp("the server acknowledges nothing");
  return true;
}

// True if it leaves a replica that has answered nobody for a while. A process that hangs loses no connection, and its kernel goes on
// acknowledging what it is sent; whoever waits for it would wait until it wakes up.
bool Session::LeavesTheSilent(TimePoint now) {
  const auto silent = [&](ServerId id) {
    constexpr milliseconds kSilence{1000};  // a hiccup of the monitor moves nobody
    const auto& server = env_.view().servers[id];
    return !server.up && env_.view().primary != id && now - server.sampled >= kSilence;
  };
  if (const auto* pool = wait_.pool();
      pool != nullptr && In<Acquiring>() && std::get<Acquiring>(state_).decision.target == Target::kReplica) {
    if (!silent(pool->key().server)) return false;
    wait_.Leave();
    OnServerUnreachable();
    return true;
  }
  if (connection_ == nullptr || !lease_.as_replica() || !silent(connection_->id()) || !MayRunElsewhere()) return false;
  connection_->GiveUp("the replica does not answer");
  return true;
}

void Session::Sweep(TimePoint now) {
  if (LeavesTheUnreachable() || LeavesTheSilent(now)) return;
  GoOnInTouch();
  if (closed_) return;
  const auto& limits = env_.config().limits;
  const auto idle = now - last_active_;
  const auto expired = [&](milliseconds limit) { return limit.count() > 0 && idle > limit; };
  if (console_) console_->Sweep(now);
  if (login_) {
    login_->Sweep(now);
  } else if (wait_.for_primary() && hold_.TooLong(now) && !HeldByPause()) {
    RefuseHeld(HoldOutcome::kGaveUp, "no primary server is available");
  } else if (wait_.TakeTry(now)) {
    if (HeldByPause()) hold_.Renew(env_.config().cluster, now);  // failover_hold counts from its end
    else OnViewChanged();
  } else if (In<Discarding>()) {
    CutShort(now);
  } else if (client_state() == ClientState::kIdle && expired(limits.client_idle_timeout)) {
    Close(
        ErrorMessage({.severity = "FATAL", .sqlstate = "57P05", .message = "terminating connection due to idle-session timeout"}),
        ClientOutcome::kTimeout);
  } else if (client_state() == ClientState::kIdleInTransaction && expired(limits.idle_in_transaction_timeout)) {
    Close(ErrorMessage(
              {.severity = "FATAL", .sqlstate = "25P03", .message = "terminating connection due to idle-in-transaction timeout"}),
          ClientOutcome::kTimeout);
  }
}

void Session::Drain(bool at_once) {
  draining_ = true;
  const bool idle = login_ || ((In<Idle>() || In<Pinned>()) && !batch_ && !waits_for_reader_);
  if (!idle && !at_once) return;
  Close(
      ErrorMessage({.severity = "FATAL", .sqlstate = "57P01", .message = "terminating connection due to administrator command"}),
      ClientOutcome::kOk);
}

// The client has got a part of a message, and until it has the rest nothing can be said to it.
bool Session::MidMessage() const {
  return connection_ != nullptr && connection_->mid_message() && !held_.holding() && !In<Discarding>();
}

void Session::Close(const std::string& message, ClientOutcome outcome) {
  if (closed_) return;
  // Before it is told, so that who was told finds it counted.
  if (outcome != ClientOutcome::kOk && login_) env_.metrics().Count(Counter::kClientConnects, outcome);
  if (shaking_hands_) env_.metrics().Count(Counter::kTlsHandshakes, TlsOutcome::kFailed);
  if (!message.empty() && !MidMessage()) WriteClient(AsBytes(message));
  closed_ = true;
  wait_.Leave();
  LeaveFence();
  // A transaction that is idle could be rolled back and the connection kept; a closed one is surely clean.
  Take(ClientGone{});
  YieldDatabases();
  if (login_) login_->Abandon();
  else env_.shared().database_claims.ClientLeft(database_);
  if (counted_as_.counted()) env_.shared().clients.Give(counted_as_);
  if (cancel_pid_ != common_.host.CancelPid(slot_)) env_.shared().moved_keys.Forget(cancel_pid_, secret_);
  if (common_.follows()) common_.followed->SessionEnded(past_.number, env_.Now());
  stream_->Finish();
  common_.host.Bury(*this, slot_);
}

void Session::FindSystemUser(std::uint32_t number, std::function<void(const std::string& name)> done) {
  waypost::FindSystemUser(env_.loop(), number, std::move(done));
}

void Session::OnClosed(const std::string& error) noexcept {
  if (login_) env_.metrics().Count(Counter::kClientConnects, ClientOutcome::kProtocolError);
  if (shaking_hands_)
    Log(LogLevel::kInfo, "tls_handshake_failed", {{"peer", stream_->PeerName()}, {"listener", listener_}, {"error", error}});
  if (!error.empty()) Say(LogLevel::kDebug, "client_lost", {{"error", error}});
  Close("", ClientOutcome::kOk);
}

}  // namespace waypost
