#include "core/fence/link.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/cluster/control_query.h"
#include "core/env/env.h"
#include "core/server/connect.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frame.h"

namespace waypost {
namespace {

// An honest server sends nothing longer on such a connection.
constexpr std::uint32_t kMaxAnswerBytes = 256 * 1024;

// Columns as in ServerIdentity, and one more: what a server may end an idle connection by is switched off where it knows
// such a setting. In the StartupMessage a setting that it does not know would be an error.
constexpr std::string_view kIdentityQuery = R"(
SELECT pg_is_in_recovery(), c.system_identifier,
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
       WHEN w.status = 'streaming' THEN w.received_tli END,
  pg_size_bytes(current_setting('wal_segment_size')), pg_last_wal_replay_lsn(),
  (SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout')
FROM pg_control_system() c LEFT JOIN pg_stat_wal_receiver w ON true)";
constexpr int kIdentityColumns = 7;

// The timeline is read behind the position: what was replayed before lies on it or on an earlier one.
constexpr std::string_view kReplayQuery = "SELECT pg_last_wal_replay_lsn(), (pg_stat_get_wal_receiver()).received_tli";
constexpr std::string_view kReplayName = "replay";

// Of the transactions listed, and of those in a range: which has the replica completed with success? What it has not
// heard of is an error to pg_xact_status().
constexpr std::size_t kMaxShown = 1'000;  // as the query says
constexpr std::string_view kShownQuery = R"(
SELECT string_agg(x::text, ',') FROM (
  SELECT x FROM (
    SELECT unnest($1::xid8[]) UNION ALL
    SELECT i::text::xid8 FROM generate_series($2::int8, least($3::int8, pg_snapshot_xmax(pg_current_snapshot())::text::int8) - 1) i
  ) asked (x)
  WHERE CASE WHEN x < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status(x) = 'committed' ELSE false END
  ORDER BY x LIMIT 1000
) shown)";
constexpr std::string_view kShownName = "shown";

constexpr std::string_view kNoTypes("\0\0", 2);

constexpr std::string_view kNudgeQuery = "SELECT pg_logical_emit_message(true, 'waypost', '')";

// postgres src/include/catalog/pg_proc.dat
constexpr std::uint32_t kInsertLsnFunction = 2852;  // pg_current_wal_insert_lsn
constexpr std::uint32_t kFlushLsnFunction = 3330;   // pg_current_wal_flush_lsn
constexpr std::uint32_t kSnapshotFunction = 5061;   // pg_current_snapshot
constexpr std::uint32_t kAgeFunction = 1181;        // age(xid)
constexpr std::uint32_t kFirstNormalXid = 3;        // FirstNormalTransactionId, postgres src/include/access/transam.h

constexpr std::uint32_t kNull = ~std::uint32_t{0};

constexpr std::uint16_t kBinary = 1;

// Calling the function itself costs the server two thirds of what running a prepared statement does.
std::string CallOf(std::uint32_t function) {
  std::string out;
  MessageBuilder(out, 'F').U32(function).U16(0).U16(0).U16(kBinary);
  return out;
}

std::string ReplayQuestion() {
  std::string out;
  MessageBuilder(out, 'B').CString("").CString(kReplayName).U16(0).U16(0).U16(1).U16(kBinary);
  MessageBuilder(out, 'E').CString("").U32(0);
  AppendEmpty(out, 'S');
  return out;
}

std::string NudgeQuestion() {
  std::string out;
  AppendQuery(out, kNudgeQuery);
  return out;
}

// The next transaction before the snapshot: so the snapshot is at least as new.
std::string RunningQuestion() {
  std::string out;
  MessageBuilder(out, 'F')
      .U32(kAgeFunction)
      .U16(1)
      .U16(kBinary)
      .U16(1)
      .U32(sizeof kFirstNormalXid)
      .U32(kFirstNormalXid)
      .U16(kBinary);
  return out + CallOf(kSnapshotFunction);
}

std::string ShownQuestion(const Running& running) {
  std::string listed = "{";
  for (const auto xid : running.listed) listed.append(listed.size() > 1 ? "," : "").append(std::to_string(xid));
  listed += '}';
  std::string out;
  {
    MessageBuilder bind(out, 'B');
    bind.CString("").CString(kShownName).U16(0).U16(3);
    for (const auto& text : {listed, std::to_string(running.from), std::to_string(running.until)})
      bind.U32(static_cast<std::uint32_t>(text.size())).Raw(AsBytes(text));
    bind.U16(0);
  }
  MessageBuilder(out, 'E').CString("").U32(0);
  AppendEmpty(out, 'S');
  return out;
}

const std::string& BytesOf(FenceLink::Question question) {
  static const std::string kInsert = CallOf(kInsertLsnFunction);
  static const std::string kFlush = CallOf(kFlushLsnFunction);
  static const std::string kReplay = ReplayQuestion();
  static const std::string kNudge = NudgeQuestion();
  static const std::string kRunning = RunningQuestion();
  switch (question) {
    case FenceLink::Question::kFlush: return kFlush;
    case FenceLink::Question::kReplay: return kReplay;
    case FenceLink::Question::kNudge: return kNudge;
    case FenceLink::Question::kRunning: return kRunning;
    case FenceLink::Question::kShown:  // not the same each time: ShownQuestion()
    case FenceLink::Question::kInsert:
    case FenceLink::Question::kNone: break;
  }
  return kInsert;
}

// An int8 or pg_lsn in binary.
std::optional<std::uint64_t> ReadU64(Fields& fields) {
  const auto high = fields.U32();
  const auto low = fields.U32();
  if (!fields.ok()) return std::nullopt;
  return (std::uint64_t{high} << 32U) | low;
}

template <class N>
N Number(std::string_view text) {
  N number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

void FenceLink::Open(std::shared_ptr<const ServerConfig> server, const MonitorConfig& monitor, const ScramKeys& keys) {
  server_ = std::move(server);
  database_ = monitor.database;
  state_ = State::kLoggingIn;
  asked_ = Question::kNone;
  waiting_since_ = heard_at_ = env_.ExactNow();
  // Whatever the role or the database sets for others is not for this connection.
  Parameters parameters = {{"application_name", "waypost fence"},
                           {"client_encoding", "UTF8"},
                           {"search_path", "pg_catalog"},
                           {"jit", "off"},
                           {"synchronous_commit", "local"},
                           {"plan_cache_mode", "force_generic_plan"},
                           {"default_transaction_isolation", "read committed"},
                           {"statement_timeout", std::to_string(monitor.timeout.count())}};
  login_.emplace(*server_, monitor.user, monitor.database, std::move(parameters), ScramCredentials{monitor.password, true, keys});
  stream_ = ConnectTo(env_, *server_, *this);
}

void FenceLink::Close() {
  if (state_ == State::kOpen && asked_ == Question::kNone) {
    std::string bye;
    AppendEmpty(bye, 'X');
    stream_->Write(AsBytes(bye));
  }
  if (stream_) stream_->Finish();
  stream_.reset();
  stash_.Drop();
  state_ = State::kClosed;
  asked_ = Question::kNone;
}

bool FenceLink::Fail(const std::string& error) {
  Close();
  user_.OnLinkClosed(*this, error);
  return false;
}

void FenceLink::GiveUp() { (void)Fail("no answer in time"); }

void FenceLink::Ask(Question question, TimePoint now) { Send(question, BytesOf(question), now); }

void FenceLink::AskShown(const Running& running, TimePoint now) { Send(Question::kShown, ShownQuestion(running), now); }

void FenceLink::Send(Question question, std::string_view bytes, TimePoint now) {
  asked_ = question;
  waiting_since_ = now;
  row_came_ = false;
  age_.reset();
  stream_->Write(AsBytes(bytes));
}

void FenceLink::OnConnected() noexcept {
  login_->BindTo(stream_->PeerEndPoint());
  stream_->Write(AsBytes(login_->Start()));
}

void FenceLink::OnClosed(const std::string& error) noexcept {
  (void)Fail(error.empty() ? "the server closed the connection" : error);
}

void FenceLink::OnData(Bytes data) noexcept {
  std::string joined;
  data = stash_.Join(data, joined);
  if (state_ == State::kLoggingIn) LogIn(data);
  while (state_ == State::kVerifying || state_ == State::kOpen) {
    auto rest = data;
    FrameHeader header;
    const auto found = NextHeader(rest, header);
    if (found == FrameStatus::kMalformed || (found == FrameStatus::kHeader && header.body_bytes > kMaxAnswerBytes)) {
      (void)Fail("it sent a message of an impossible length");
      return;
    }
    if (found == FrameStatus::kNeedMore || rest.size() < header.body_bytes) break;
    data = rest.subspan(header.body_bytes);
    if (!OnMessage(header, rest.first(header.body_bytes))) return;
  }
  if (state_ != State::kClosed && !data.empty()) stash_.Keep(data);
}

void FenceLink::LogIn(Bytes& data) {
  std::string out;
  switch (login_->OnBytes(data, out)) {
    case ServerLogin::Progress::kGoOn: break;
    case ServerLogin::Progress::kFailed: {
      const auto error = ReadError(AsBytes(login_->error()).subspan(kHeaderBytes));
      (void)Fail(FirstLine(error.message));
      return;
    }
    case ServerLogin::Progress::kReady:
      keys_ = login_->keys();
      protocol_minor_ = login_->protocol_minor();
      login_.reset();
      state_ = State::kVerifying;
      waiting_since_ = env_.ExactNow();
      row_came_ = false;
      AppendQuery(out, kIdentityQuery);
      break;
  }
  if (!out.empty()) stream_->Write(AsBytes(out));
}

bool FenceLink::OnMessage(FrameHeader header, Bytes body) {
  switch (header.type) {
    case 'V': return ReadResult(body) || Fail("its answer has an unexpected form");
    case 'D':
      if (state_ == State::kVerifying) return ReadIdentity(body) || Fail("its answer about its identity has an unexpected form");
      return ReadRow(body) || Fail("its answer has an unexpected form");
    case 'E': return Fail(FirstLine(ReadError(body).message));
    case 'Z': return Answered();
    default: return true;
  }
}

bool FenceLink::ReadIdentity(Bytes body) {
  Fields fields(body);
  std::string_view columns[kIdentityColumns];
  if (fields.U16() != kIdentityColumns) return false;
  for (auto& column : columns) {
    const auto length = fields.U32();
    if (length == ~std::uint32_t{0}) continue;  // null
    column = AsText(fields.Take(length));
    if (!fields.ok()) return false;
  }
  identity_ = {.recovering = columns[0] == "t",
               .system_identifier = Number<std::uint64_t>(columns[1]),
               .timeline = Number<std::uint32_t>(columns[3]),
               .started_us = Number<std::int64_t>(columns[2]),
               .segment_bytes = Number<std::uint64_t>(columns[4]),
               .replay = ParseLsn(columns[5]).value_or(Lsn{})};
  row_came_ = true;
  return identity_.system_identifier != 0 && identity_.segment_bytes != 0;
}

// Of a function.
bool FenceLink::ReadResult(Bytes body) {
  Fields fields(body);
  const auto length = fields.U32();
  if (asked_ != Question::kRunning) {
    const auto value = ReadU64(fields);
    if (length != sizeof(std::uint64_t) || !value) return false;
    position_ = {*value};
    row_came_ = true;
    return true;
  }
  if (age_) return ReadSnapshot(fields, length);
  age_ = static_cast<std::int32_t>(fields.U32());
  return fields.ok() && length == sizeof *age_;
}

// postgres src/backend/utils/adt/xid8funcs.c, pg_snapshot_send()
bool FenceLink::ReadSnapshot(Fields& fields, std::uint32_t length) {
  const auto count = fields.U32();
  (void)ReadU64(fields);  // xmin
  const auto xmax = ReadU64(fields);
  if (!xmax || length != 4 + 8 + 8 + fields.rest().size() || fields.rest().size() != std::size_t{count} * 8) return false;
  running_.listed.clear();
  for (std::uint32_t i = 0; i < count; ++i) running_.listed.push_back(ReadU64(fields).value_or(0));
  running_.from = *xmax;
  running_.until = NextXid(*age_, *xmax);
  row_came_ = true;
  return fields.ok() && std::is_sorted(running_.listed.begin(), running_.listed.end());
}

bool FenceLink::ReadRow(Bytes body) {
  switch (asked_) {
    case Question::kReplay: return ReadReplay(body);
    case Question::kShown: return ReadShown(body);
    default: return true;
  }
}

bool FenceLink::ReadShown(Bytes body) {
  Fields fields(body);
  if (fields.U16() != 1) return false;
  shown_.clear();
  row_came_ = true;
  const auto length = fields.U32();
  if (length == kNull) return fields.ok();  // none
  auto text = AsText(fields.Take(length));
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    shown_.push_back(Number<Xid>(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fields.ok();
}

bool FenceLink::ReadReplay(Bytes body) {
  Fields fields(body);
  if (fields.U16() != 2) return false;
  if (fields.U32() != sizeof(std::uint64_t)) return false;
  const auto value = ReadU64(fields);
  const auto length = fields.U32();
  if (!value || !fields.ok() || (length != kNull && length != sizeof(std::uint32_t))) return false;
  position_ = {*value};
  timeline_ = length == kNull ? 0 : fields.U32();
  row_came_ = true;
  return fields.ok();
}

bool FenceLink::Answered() {
  if (!row_came_ && asked_ != Question::kNudge && state_ != State::kVerifying) return true;  // of the Parse, of age()
  heard_at_ = env_.ExactNow();
  if (state_ == State::kVerifying) {
    if (!row_came_) return Fail("it did not answer the question about its identity");
    state_ = State::kOpen;
    row_came_ = false;
    if (identity_.recovering) {
      std::string out;
      AppendParse(out, kReplayName, kReplayQuery, AsBytes(kNoTypes));
      AppendParse(out, kShownName, kShownQuery, AsBytes(kNoTypes));
      AppendEmpty(out, 'S');
      stream_->Write(AsBytes(out));
    }
    user_.OnLinkOpen(*this, identity_);
    return state_ == State::kOpen;
  }
  row_came_ = false;
  switch (std::exchange(asked_, Question::kNone)) {
    case Question::kInsert: user_.OnInsert(*this, position_); break;
    case Question::kFlush: user_.OnFlush(*this, position_); break;
    case Question::kReplay: user_.OnReplay(*this, position_, timeline_); break;
    case Question::kNudge: user_.OnNudged(*this); break;
    case Question::kRunning: user_.OnRunning(*this, std::move(running_)); break;
    case Question::kShown: user_.OnShown(*this, shown_, shown_.size() >= kMaxShown); break;
    case Question::kNone: break;
  }
  return state_ == State::kOpen;
}

}  // namespace waypost
