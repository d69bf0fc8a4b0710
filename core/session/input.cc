// What a client sends: bytes -> messages -> batch -> decision. What a message says: session_classify.cc.
#include <algorithm>
#include <utility>

#include "core/session/paused.h"
#include "core/session/session.h"
#include "parser/sql/explain_text.h"
#include "parser/wire/encode.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

// A message up to this is gathered whole and looked into; a longer one is passed on in pieces.
constexpr std::uint32_t kGatherBytes = 1024 * 1024;
// A batch up to this is kept until it is answered, so that it can be sent again.
constexpr std::size_t kKeepBytes = 64 * 1024;
// Names at the front of a large Bind must lie within this.
constexpr std::uint32_t kNamesBytes = 16 * 1024;
// So many messages are gathered; a longer batch is sent in parts. PostgreSQL knows no such bound.
constexpr std::size_t kGatherMessages = 8192;
// What a client sent is looked at for so long, then others have their turn: messages, and SQL by its length, that takes as
// long as so many messages.
constexpr std::size_t kTurnMessages = 512;
constexpr std::size_t kBytesAsMessage = 64;
// A longer text that the cache does not know is analysed off the loop: so much takes up to 2 ms.
constexpr std::uint32_t kReadHereBytes = 8 * 1024;
// The same where rules ask for fingerprints.
constexpr std::uint32_t kMarkHereBytes = 1024;
// More than this is not read ahead while a batch is under way.
constexpr std::size_t kReadAheadBytes = 64 * 1024;

bool IsCopyData(char type) { return type == 'd' || type == 'c' || type == 'f'; }
bool IsFull(const Batch& batch) { return batch.bytes.size() > kGatherBytes || batch.messages.size() >= kGatherMessages; }
bool EndsBatch(char type) { return type == 'Q' || type == 'S' || type == 'F'; }
bool IsPlainSync(FrameHeader header) { return header.type == 'S' && header.body_bytes == 0; }

// Takes those at the front, as many as one turn looks at; how many they were.
std::size_t TakeSyncs(Bytes& in) {
  std::size_t taken = 0;
  auto rest = in;
  FrameHeader header;
  for (; taken < kTurnMessages && NextHeader(rest, header) == FrameStatus::kHeader && IsPlainSync(header); ++taken) in = rest;
  return taken;
}

}  // namespace

void Session::OnData(Bytes data) noexcept {
  env_.metrics().CountMany(Counter::kBytes, data.size(), Side::kClient, Direction::kIn);
  last_active_ = env_.Now();
  traffic_->received += data.size();
  if (login_) {
    login_->OnData(data);
    return;
  }
  if (console_) return console_->OnData(data);
  if (!input_.empty() || processing_ || env_.OutOfTouch()) {
    input_.Append(data);
    ProcessInput();
    return;
  }
  processing_ = true;
  Process(data);
  processing_ = false;
  if (closed_) return;
  input_.Append(data);
  if (MustPause()) stream_->Pause(Stream::kBusy);
  if (Unended()) AwaitEnd();
}

void Session::ProcessInput() {
  if (processing_ || closed_) return;
  if (env_.OutOfTouch()) {
    out_of_touch_ = true;  // until OnViewChanged()
    return stream_->Pause(Stream::kBusy);
  }
  processing_ = true;
  auto in = input_.bytes();
  const auto before = in.size();
  Process(in);
  processing_ = false;
  if (closed_) return;
  input_.Take(before - in.size());
  if (MustPause()) stream_->Pause(Stream::kBusy);
  else stream_->Resume(Stream::kBusy);
  if (Unended()) AwaitEnd();
}

// Something of a batch is gathered, and neither its end nor a Flush has come. PostgreSQL runs what it has, and says what it
// must, before it has the rest.
bool Session::Unended() const {
  if (!batch_ || batch_->messages.empty()) return false;
  if (!batch_->dispatched) return !In<Acquiring>();
  // What waits to hear what its statement returns is all here: it goes on by the answer.
  return batch_->shape_wait == ShapeWait::kNone && batch_->sent < batch_->messages.size() && ProvesParts();
}

void Session::AwaitEnd() {
  unended_since_ = env_.ExactNow();
  if (std::exchange(awaits_end_, true)) return;
  common_.host.AwaitMore(slot_);
}

bool Session::SendUnended(TimePoint since) {
  if (closed_ || !Unended()) return awaits_end_ = false;
  if (rests_ || waits_for_reader_ || unended_since_ > since) return true;
  awaits_end_ = false;
  if (batch_->dispatched) {
    SendPart();
  } else {
    batch_->facts.end_known = false;  // what it will be is not known: as if it were to be flushed
    Dispatch();
  }
  if (!closed_ && !input_.empty()) ProcessInput();
  return false;
}

bool Session::MustPause() const {
  return input_.size() > kReadAheadBytes && (client_full_ || rests_ || waits_for_reader_ || !Accepts('Q'));
}

bool Session::Accepts(char type) const {
  // What is on its way to cancel the batch before must not hit the next one.
  if (connection_ != nullptr && connection_->cancelling() && !In<Relaying>()) return false;
  if (In<Idle>() || In<Begun>() || In<InBlock>() || In<Pinned>() || In<FailedBlock>()) return true;
  if (!In<Relaying>() || held_.ended() || batch_->shape_wait == ShapeWait::kAsked) return false;
  // The running batch goes on: a COPY, a series without its Sync, a message too large to gather.
  const auto& ledger = connection_->ledger();
  return inbox_.large() || ledger.ReadyForQueryDue() == 0 || ledger.CopyIn() || IsCopyData(type);
}

void Session::GoOn() {
  if (!std::exchange(rests_, false)) return;
  ProcessInput();
}

void Session::Process(Bytes& in) {
  rests_ = false;
  std::size_t looked_at = 0;
  while (!closed_ && !in.empty()) {
    if (looked_at >= kTurnMessages) {
      rests_ = true;
      common_.host.NextTurn(slot_);
      break;
    }
    const auto before = in.size();
    if (!In<Relaying>()) (void)inbox_.LoseServer();  // it may have gone away meanwhile
    if (inbox_.rest() == Inbox::Rest::kDropped) {
      (void)inbox_.TakeRest(in);
    } else if (inbox_.rest() == Inbox::Rest::kStreamed) {
      SendToServer(inbox_.TakeRest(in));
    } else if ((client_full_ && !In<Relaying>()) || !TakeMessage(in)) {
      break;
    } else {
      looked_at += 1 + (before - in.size() + std::exchange(looked_into_, 0)) / kBytesAsMessage;
    }
  }
  if (!closed_) SendGathered();
}

// What the running batch went on with.
void Session::SendGathered() {
  if (!batch_ || !batch_->dispatched || batch_->sent == batch_->messages.size() || !In<Relaying>() || ProvesParts()) return;
  Send();
}

bool Session::TakeMessage(Bytes& in) {
  auto rest = in;
  FrameHeader header;
  const auto found = NextHeader(rest, header);
  if (found == FrameStatus::kNeedMore) return false;
  if (found == FrameStatus::kMalformed) {
    Misbehaved("invalid message length");
    return false;
  }
  switch (CheckFrontendHeader(header)) {
    case FrontendFault::kNone: break;
    case FrontendFault::kUnknownType:
      Misbehaved("invalid frontend message type " +
                 std::to_string(static_cast<unsigned>(static_cast<unsigned char>(header.type))));
      return false;
    case FrontendFault::kTooLong: Misbehaved("invalid message length"); return false;
  }
  if (header.type == 'X') {
    Close("", ClientOutcome::kOk);
    return false;
  }
  if (!Accepts(header.type)) return false;
  if (inbox_.TakeDropNext()) {
    in = rest;
    inbox_.Drop(header.body_bytes);
    return true;
  }
  if (inbox_.skips_to_sync()) {
    in = rest;
    if (header.type != 'S') {
      inbox_.Drop(header.body_bytes);
      return true;
    }
    inbox_.SkipToSync(false);
    std::string out;
    AppendReadyForQuery(out, connection_ != nullptr ? connection_->status() : In<FailedBlock>() ? 'E' : 'I');
    WriteClient(AsBytes(out));
    return true;
  }
  // A Sync with nothing before it ends no transaction, and where no server is held nobody else knows better than we: drivers send
  // it to ask whether anybody is there. In a block that a server has, it is the server's: its clocks begin anew.
  if (!batch_ && inbox_.fresh() && IsPlainSync(header) && (In<Idle>() || In<Begun>())) {
    const auto syncs = TakeSyncs(in);
    std::string out;
    for (std::size_t i = 0; i < syncs; ++i) AppendReadyForQuery(out, In<Begun>() ? 'T' : 'I');
    WriteClient(AsBytes(out));
    return true;
  }
  if (IsCopyData(header.type)) {
    if (In<Relaying>()) {
      SendGathered();
      if (batch_->shape_wait == ShapeWait::kAsked) return false;
      StreamCopyData(in);
      return true;
    }
    if (MayAwaitCopyData()) {
      batch().facts.end_known = false;  // its Sync comes behind the data
      Dispatch();
      return true;
    }
    in = rest;
    inbox_.Drop(header.body_bytes);  // PostgreSQL ignores copy data outside a COPY
    return true;
  }
  if (header.body_bytes > kGatherBytes || inbox_.large()) return TakeLarge(header, in);
  if (rest.size() < header.body_bytes) return false;
  const auto message = in.first(kHeaderBytes + header.body_bytes);
  const bool has_text = header.type == 'Q' || header.type == 'P';
  if (has_text && header.body_bytes > kMarkHereBytes) names_long_texts_ = true;
  if ((has_text || names_long_texts_) && MustBeRead(header.type, message.subspan(kHeaderBytes))) return false;
  const bool part = header.type == 'Q' ? TakePart(message, in) : CutsSeries(header.type, message.subspan(kHeaderBytes));
  if (!part) {
    in = in.subspan(message.size());
    Add(header, message);
  }
  if (read_.sql) read_ = {};
  return true;
}

// The text that such a message is going to have looked into, if it is a long one.
std::optional<Session::LongText> Session::LongTextIn(char type, Bytes body) const {
  // A fingerprint, for rules, costs ten times as much as all the rest.
  const std::size_t most = env_.config().rules.asks_for_fingerprints() ? kMarkHereBytes : kReadHereBytes;
  std::optional<std::string_view> text;
  SqlRef kept;
  const auto name = [&](std::string_view named) {
    const auto statement = names_.Find(named);
    if (!statement) return;
    kept = statement->sql;
    text = kept->text;
  };
  switch (type) {
    case 'Q':
      if (body.size() > most) text = ReadQuery(body);
      break;
    case 'P':
      if (body.size() <= most) break;
      if (const auto parse = ReadParse(body)) text = parse->sql;
      break;
    case 'B':
      if (const auto bind = ReadBind(body)) name(bind->statement);
      break;
    case 'D':
      if (const auto target = ReadTarget(body); target && target->kind == 'S') name(target->name);
      break;
    default: break;
  }
  if (text && !kept && MayAskForRoute(*text))
    if (const auto question = RouteQuestionIn(*text, lexing_)) {
      if (question->size() > kMaxRouteQuestionBytes) return std::nullopt;  // it is refused
      text = question;
    }
  if (!text || text->size() <= most) return std::nullopt;
  return LongText{*text, std::move(kept)};
}

// It was looked into just now.
bool Session::Reads(const LongText& text) const {
  if (!read_.sql || read_.lexing != lexing_) return false;
  return text.kept ? read_.sql == text.kept : read_.sql->text == text.text;
}

// True: the message is to be looked at again when its text was looked into.
bool Session::MustBeRead(char type, Bytes body) {
  if (waits_for_reader_) return true;
  const auto text = LongTextIn(type, body);
  if (!text || Reads(*text)) return false;
  const auto context = FindPlace().context;
  if (text->kept ? common_.cache.KnowsKept(text->kept, lexing_, context) : common_.cache.Knows(text->text, lexing_, context))
    return false;
  waits_for_reader_ = true;
  common_.host.NextRead(slot_);
  return true;
}

std::optional<SqlQuestion> Session::TextToRead() {
  if (closed_ || !waits_for_reader_) return std::nullopt;
  auto rest = input_.bytes();
  FrameHeader header;
  const bool whole = NextHeader(rest, header) == FrameStatus::kHeader && rest.size() >= header.body_bytes;
  auto text = whole ? LongTextIn(header.type, rest.first(header.body_bytes)) : std::nullopt;
  if (!text) {
    waits_for_reader_ = false;  // it was skipped meanwhile
    return std::nullopt;
  }
  const auto place = FindPlace();
  const auto* loaded = name_context_.catalog() == nullptr ? nullptr : env_.catalogs().Find(database_);
  SqlQuestion question{.text = {},
                       .known = std::move(text->kept),
                       .lexing = lexing_,
                       .context = place.context,
                       .catalog = loaded == nullptr ? nullptr : loaded->catalog,
                       .path = std::nullopt,
                       .stale = place.outlook.stale,
                       .config = env_.config_snapshot(),
                       .rules_generation = env_.rules_generation()};
  if (place.outlook.path != nullptr) question.path = *place.outlook.path;
  if (!question.known) question.text = text->text;
  return question;
}

void Session::OnSqlRead(ReadText read) {
  waits_for_reader_ = false;
  read_ = std::move(read);
  ProcessInput();
  if (std::exchange(cancel_when_read_, false)) CancelUntilEnded();
}

// True if the batch being gathered runs something: copy data behind it may be for that.
bool Session::MayAwaitCopyData() const { return batch_ && !batch_->dispatched && batch_->executes; }

void Session::StreamCopyData(Bytes& in) {
  // All that is here in one write: a row is often a message of its own.
  auto rest = in;
  while (inbox_.rest() == Inbox::Rest::kNone) {
    auto next = rest;
    FrameHeader header;
    if (NextHeader(next, header) != FrameStatus::kHeader || !IsCopyData(header.type)) break;
    if (CheckFrontendHeader(header) != FrontendFault::kNone) break;  // told when it is at the head
    connection_->ledger().Sent(header.type, Reply::kForward);
    const auto here = std::min<std::size_t>(header.body_bytes, next.size());
    inbox_.Stream(header.body_bytes - static_cast<std::uint32_t>(here));
    rest = next.subspan(here);
  }
  const auto run = in.first(in.size() - rest.size());
  in = rest;
  SendToServer(run);
}

bool Session::TakeLarge(FrameHeader header, Bytes& in) {
  auto rest = in.subspan(kHeaderBytes);
  const auto names = header.type == 'B' || header.type == 'P' ? std::min(header.body_bytes, kNamesBytes) : 0;
  if (rest.size() < names) return false;
  if (In<FailedBlock>()) {
    in = rest;
    inbox_.Drop(header.body_bytes);
    inbox_.SkipToSync(header.type != 'Q' && header.type != 'F');
    failure_.clear();
    AppendError(failure_, {.sqlstate = "25P02",
                           .message = "current transaction is aborted, commands ignored until end of transaction block"});
    if (!inbox_.skips_to_sync()) AppendReadyForQuery(failure_, 'E');
    WriteClient(AsBytes(failure_));
    return true;
  }
  if (!In<Relaying>()) {
    // It needs a server connection first, and what of its batch came before it goes ahead of it.
    inbox_.AwaitServer(header.type);
    auto& facts = batch().facts;
    facts.end_known = false;
    facts.retained = false;
    facts.needs_fence = true;
    if (header.type == 'Q' || header.type == 'P') {
      facts.cls = Class::kWrite;
      facts.why = Reason::kTooLarge;
      facts.reads_by_form = false;
      batch().pin = PinReason::kUnknownState;
      batch().unseen = batch().unlisted = true;
    }
    Dispatch();
    return !closed_ && In<Relaying>();
  }
  if (!inbox_.large() && ProvesParts()) {  // and what was gathered before it goes ahead
    inbox_.AwaitServer(header.type);
    batch_->facts.needs_fence = true;
    SendPart();
    return !closed_ && In<Relaying>();
  }
  SendGathered();
  if (batch_->shape_wait == ShapeWait::kAsked) return false;
  const auto fate = header.type == 'B' ? FateOfLarge(rest.first(names)) : Fate::kSend;
  if (fate == Fate::kWait) return false;
  inbox_.EndLarge();
  if (fate == Fate::kRefuse) {
    in = rest;
    inbox_.Drop(header.body_bytes);
    return true;
  }
  in = rest.subspan(names);
  StreamLarge(header, rest.first(names));
  return true;
}

Batch& Session::batch() {
  if (!batch_) {
    batch_ = common_.batches.Take();
    batch_->started = env_.ExactNow();
    const bool in_block = In<Begun>() || (connection_ != nullptr && connection_->status() != 'I');
    batch_->keeps_snapshot = in_block && !block_.IsReadCommitted(transaction_defaults_);
  }
  return *batch_;
}

void Session::Add(FrameHeader header, Bytes message) {
  if (header.type == 'H' && header.body_bytes == 0 && !batch_) return;  // nothing to flush
  auto& gathered = batch();
  BatchMessage entry;
  entry.type = header.type;
  entry.place = names_.place();
  entry.offset = static_cast<std::uint32_t>(gathered.bytes.size());
  entry.size = static_cast<std::uint32_t>(message.size());
  gathered.bytes += AsText(message);
  gathered.messages.push_back(std::move(entry));
  Classify(gathered.messages.back(), message.subspan(kHeaderBytes));
  if (gathered.bytes.size() > kKeepBytes || IsFull(gathered)) gathered.facts.retained = false;

  if (gathered.dispatched) {  // the running batch goes on
    WatchTimeout();
    const bool now = EndsBatch(header.type) || header.type == 'H' || IsFull(gathered);
    if (now && ProvesParts()) SendPart();
    else if (now) Send();  // else with what comes in the same read
    return;
  }
  if (EndsBatch(header.type)) {
    Dispatch();
  } else if (header.type == 'H' || IsFull(gathered)) {
    gathered.facts.end_known = false;
    Dispatch();
  }
}

// Of the batch at hand: a rule or a hint may have its own.
const RoutingPolicy& Session::Policy() const { return batch_ && batch_->handling ? batch_->handling->policy : policy_.routing; }

// Where the batch at hand would go now. Changes nothing but the batch.
Decision Session::DecideBatch() {
  auto& running = batch();
  if (!running.any_statement && running.facts.end_known) {
    // Close, Sync alone, an empty query: nothing that could write, and nothing to read.
    running.facts.why = Reason::kProtocol;
  }
  const auto session = FactsOfSession();
  if (running.handling) running.facts.to_primary = running.handling->to_primary;
  if (policy_.pool.mode == PoolMode::kSession && connection_ == nullptr) {  // it stays where its first batch runs
    running.facts.to_primary = running.facts.why = Reason::kSessionMode;
    running.facts.begins_read_only = false;
  }
  const auto decision = Decide(running.facts, session, env_.view(), Policy(), common_.LoadFor(database_, user_), env_.Now());
  if (policy_.pool.mode == PoolMode::kStatement && running.begins) return {Target::kRefuse, Reason::kTransaction};
  // Nothing stands before it that a server would answer, and no block fails by it.
  if (In<Idle>() && !running.messages.empty() && running.messages.front().refused) return {Target::kRefuse, Reason::kRefused};
  return decision;
}

SessionFacts Session::FactsOfSession() const {
  SessionFacts session;
  session.holds_connection = connection_ != nullptr;
  session.holds_why = In<Pinned>() ? (policy_.pool.mode == PoolMode::kSession ? Reason::kSessionMode : Reason::kSessionPinned)
                      : block_.reads_only() ? Reason::kReadOnlyTransaction
                                            : Reason::kInTransaction;
  session.held_by_replica = OnReplica();
  // Behind COMMIT AND CHAIN there is another.
  session.snapshot_taken = block_.snapshot_taken() && !(batch_ && batch_->ends_block);
  session.serializable_default = transaction_defaults_.serializable;
  session.opens = Opens();
  return session;
}

// What the block will be like behind the batch at hand. A BEGIN within a block changes nothing.
void Session::NoteBegin() {
  const auto& b = *batch_;
  const bool within = !In<Idle>() && (connection_ == nullptr || connection_->status() != 'I');
  if (b.begins && !within) block_.BeginsNow(b.begin_modes);
  if (b.sets_transaction || b.begins_otherwise || (b.begins && within && b.ends_block)) block_.MayChangeModes();
}

void Session::Dispatch() {
  auto& running = batch();
  running.dispatched = true;
  if (running.refusal.empty() && (running.begins || In<Begun>()) && KeepBatch()) return;
  if (running.ends_block && (ChainsBehindFailure() || PreparesElsewhere())) return;
  NoteBegin();
  auto decision = DecideBatch();
  if (decision.target == Target::kReplica && AllHeld(env_, database_)) decision = PrimaryInstead(decision);
  if (decision.target == Target::kReplica && (running.facts.begins_read_only || Opens() == SessionFacts::Opens::kReadOnly))
    block_.ReadsOnly();
  running.fenced = decision.fence != FencePlan::kNone;
  if (!running.facts.end_known) running.facts.needs_fence = false;  // what comes behind says it anew
  if (running.facts.cls != Class::kRead) env_.NoteWrite();
  // Where a read goes that is to be proved first is known when it is proved.
  if (decision.fence != FencePlan::kProbeFirst || decision.target == Target::kHeld) CountDecision(decision);
  WatchTimeout();
  if (policy_.routing.read_from == ReadFrom::kNone) CountShadow(running, decision);
  if (connection_ == nullptr || connection_->status() == 'I') settings_.Commit();
  ties_.BatchBegins(connection_ == nullptr, In<Pinned>(), running.pin);
  if (policy_.routing.self_check > 0) Sample(decision);
  Take(BatchReady{decision});
}

void Session::Misbehaved(std::string_view message) {
  std::string out;
  AppendError(out, {.severity = "FATAL", .sqlstate = "08P01", .message = message});
  Close(out, ClientOutcome::kProtocolError);
}

}  // namespace waypost
