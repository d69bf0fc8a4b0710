#include "core/server/connection.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/env/env.h"
#include "core/server/connect.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

// A message of a kind that is looked into is read whole up to this; what is longer is looked at in its first part.
constexpr std::uint32_t kMaxReadBytes = 64 * 1024;
// What a statement takes and returns is read whole: 65,535 parameters, or 1,664 columns with names of 63 characters.
constexpr std::uint32_t kMaxShapeBytes = 512 * 1024;

// How much of a body must be there before the message is dealt with.
std::uint32_t BytesNeeded(FrameHeader header, const Ledger& ledger) {
  switch (header.type) {
    case 't':
    case 'T': return ledger.Next() == 'D' ? std::min(header.body_bytes, kMaxShapeBytes) : 0;
    case 'D': return ledger.Swallowing() ? std::min(header.body_bytes, kMaxReadBytes) : 0;
    case 'E':
    case 'C':
    case 'Z':
    case 'S':
    case 'N':
    case 'A': return std::min(header.body_bytes, kMaxReadBytes);
    default: return 0;
  }
}

}  // namespace

// Gathers what goes to the client. As long as it is one piece of what was read, nothing is copied.
class ServerConnection::Output {
 public:
  explicit Output(ReplyUser*& user, std::string& gathered) : user_(user), gathered_(gathered) { gathered_.clear(); }
  void Take(Bytes piece) {
    if (piece.empty()) return;
    if (copied_) {
      gathered_ += AsText(piece);
    } else if (run_.empty()) {
      run_ = piece;
    } else if (run_.data() + run_.size() == piece.data()) {
      run_ = {run_.data(), run_.size() + piece.size()};
    } else {
      Copy();
      gathered_ += AsText(piece);
    }
  }
  // For answers that are not among what was read.
  std::string& Appendix() {
    Copy();
    return gathered_;
  }
  void Flush() {
    const auto bytes = copied_ ? AsBytes(gathered_) : run_;
    if (!bytes.empty() && user_ != nullptr) user_->OnForward(bytes);
    Drop();
  }
  void Drop() {
    run_ = {};
    gathered_.clear();
    copied_ = false;
  }

 private:
  void Copy() {
    if (copied_) return;
    gathered_ += AsText(run_);
    copied_ = true;
  }
  ReplyUser*& user_;
  std::string& gathered_;
  Bytes run_;
  bool copied_ = false;
};

ServerConnection::ServerConnection(Env& env, ServerEvents& events, Pool& pool, std::shared_ptr<const ServerConfig> server)
    : PooledConnection(env.Now(), env.shared().defaults_clock.now()),
      settings(env.settings().None()),
      env_(env),
      events_(events),
      pool_(pool),
      server_(std::move(server)),
      id_(pool.key().server) {
  stream_ = ConnectTo(env_, *server_, *this);
}

ServerConnection::~ServerConnection() = default;

PooledConnection::LoginFailure ServerConnection::WhyLoginFailed() const {
  if (!failure_.empty()) return {.sqlstate = {}, .error = {}, .lost = failure_};
  return {.sqlstate = login_->sqlstate(), .error = login_->error(), .lost = {}, .server_said_so = login_->server_said_so()};
}

void ServerConnection::OnConnected() noexcept {
  const auto& key = pool_.key();
  login_.emplace(*server_, key.user, key.database, key.only_at_start, env_.shared().credentials.ForServer(key.user));
  login_->BindTo(stream_->PeerEndPoint());
  stream_->Write(AsBytes(login_->Start()));
}

void ServerConnection::OnData(Bytes data) noexcept {
  env_.metrics().CountMany(Counter::kBytes, data.size(), Side::kServer, Direction::kIn);
  std::string joined;
  data = stash_.Join(data, joined);
  if (ready_) Relay(data);
  else LogIn(data);
}

void ServerConnection::LogIn(Bytes data) {
  std::string out;
  switch (login_->OnBytes(data, out)) {
    case ServerLogin::Progress::kGoOn:
      stash_.Keep(data);
      if (!out.empty()) stream_->Write(AsBytes(out));
      return;
    case ServerLogin::Progress::kFailed:
      broken_ = true;
      pool_.OnLoginFailed(*this);
      return;
    case ServerLogin::Progress::kReady:
      if (login_->keys()) env_.shared().credentials.Learn(pool_.key().user, *login_->keys());
      ready_ = true;
      stash_.Keep(data);  // a change of settings, say, that came in the same read
      born = env_.Now();
      events_.OnServerLoggedIn(id_);
      pool_.OnReady(*this);
      return;
  }
}

void ServerConnection::Relay(Bytes data) {
  Output output(user_, env_.scratch_out());
  while (!data.empty()) {
    if (body_left_ > 0) {
      const auto piece = data.first(std::min<std::size_t>(body_left_, data.size()));
      if (body_forward_) output.Take(piece);
      body_left_ -= static_cast<std::uint32_t>(piece.size());
      data = data.subspan(piece.size());
      continue;
    }
    auto rest = data;
    FrameHeader header;
    const auto found = NextHeader(rest, header);
    if (found == FrameStatus::kMalformed) {
      output.Flush();
      return Broken("it sent a message of an impossible length");
    }
    if (found == FrameStatus::kNeedMore || rest.size() < BytesNeeded(header, ledger_)) {
      stash_.Keep(data);
      break;
    }
    if (header.type == 'D' && rows_pass_ && rest.size() >= header.body_bytes) {
      // Behind a first row that was forwarded there is nothing to decide.
      output.Take(data.first(kHeaderBytes + header.body_bytes));
      data = rest.subspan(header.body_bytes);
      continue;
    }
    rows_pass_ = false;
    const bool ours = ledger_.Swallowing();
    const auto needed = BytesNeeded(header, ledger_);
    // The end of what we put ahead of a batch is not the end of the batch.
    const bool batch_end = header.type == 'Z' && !ours;
    bool forward = false;
    if (!OnMessage(header, rest.first(needed), output, forward) || broken_) return;
    const auto whole = std::min<std::size_t>(header.body_bytes, rest.size());
    if (forward) output.Take(data.first(kHeaderBytes + whole));
    body_left_ = header.body_bytes - static_cast<std::uint32_t>(whole);
    body_forward_ = forward;
    rows_pass_ = forward && header.type == 'D';
    data = rest.subspan(whole);
    if (header.type != 'Z' || ledger_.ReadyForQueryDue() > 0) continue;
    output.Flush();
    if (user_ != nullptr && batch_end) user_->OnBatchDone(status_);
    else if (user_ != nullptr) user_->OnOwnDone();
    if (broken_) return;
  }
  output.Flush();
  if (user_ != nullptr) user_->OnRelayed();
}

bool ServerConnection::OnMessage(FrameHeader header, Bytes body, Output& output, bool& forward) {
  if (header.type != 'N' && header.type != 'S' && header.type != 'A') {
    char type = 0;
    std::uint64_t sequence = 0;
    while (ledger_.TakeSynthesised(type, sequence))
      if (user_ != nullptr) user_->OnSynthesised(type, sequence, output.Appendix());
  }
  // The ledger hears of what can be understood alone: what is owed stays owed.
  const auto status = header.type == 'Z' ? ReadReadyForQuery(body) : status_;
  if (!status) {
    output.Flush();
    Broken("it sent a ReadyForQuery with an unknown status");
    return false;
  }
  const bool swallowing = ledger_.Swallowing();
  const auto answer = ledger_.OnReply(header.type);
  if (ledger_.Confused()) {
    output.Flush();
    Broken(std::string("it sent an unexpected message of type '") + header.type + "'");
    return false;
  }
  status_ = *status;
  // Notices and parameter changes that our own messages cause are not the client's; notifications always are.
  const bool ours = answer.entry == 0 && header.type != 'A' && header.type != 'E' && swallowing;
  forward = user_ != nullptr && answer.reply == Reply::kForward && !ours;
  if (user_ == nullptr) {
    if (header.type == 'S') events_.OnServerReloaded();
    return !EndsConnection(header, body, output);
  }
  std::string replacement;
  const auto what = user_->OnReply(answer, header, body, replacement);
  if (EndsConnection(header, body, output)) return false;
  if (!forward) return true;
  if (what == Relayed::kDrop) output.Drop();
  if (what == Relayed::kForward && !replacement.empty()) output.Appendix() += replacement;
  forward = what == Relayed::kForward && replacement.empty();
  return true;
}

// Behind a FATAL error nothing comes: it is lost now, before anybody sends on it.
bool ServerConnection::EndsConnection(FrameHeader header, Bytes body, Output& output) {
  if (header.type != 'E' || broken_) return false;
  const auto severity = ReadError(body).severity;
  if (severity != "FATAL" && severity != "PANIC") return false;
  output.Flush();
  OnClosed("");
  return true;
}

void ServerConnection::Disconnect() {
  broken_ = true;
  user_ = nullptr;
  if (ready_ && ledger_.Idle()) {
    std::string out;
    AppendEmpty(out, 'X');
    stream_->Write(AsBytes(out));
  }
  stream_->Finish();
}

bool ServerConnection::Send(Bytes bytes) {
  env_.metrics().CountMany(Counter::kBytes, bytes.size(), Side::kServer, Direction::kOut);
  return stream_->Write(bytes);
}

std::uint64_t ServerConnection::AskAside(std::string& out, std::string_view sql) { return Aside(out, sql, Reply::kSwallow); }

void ServerConnection::TryAside(std::string& out, std::string_view sql) { (void)Aside(out, sql, Reply::kTry); }

std::uint64_t ServerConnection::Aside(std::string& out, std::string_view sql, Reply how) {
  AppendQuery(out, sql);
  unnamed.reset();
  return ledger_.Sent('Q', how);
}

void ServerConnection::CloseAside(std::string& out, std::string_view name) {
  if (ledger_.Sent('C', Reply::kSwallow) != 0) MessageBuilder(out, 'C').Byte('S').CString(name);
}

void ServerConnection::AddStatement(std::uint64_t id, StatementRef statement, std::uint64_t sequence) {
  statement_bytes += statement->sql->text.size();
  statements[id] = {.as = std::move(statement), .parsed = sequence};
}

void ServerConnection::ForgetStatements(std::uint64_t sequence) {
  std::erase_if(statements, [&](const auto& entry) { return entry.second.parsed < sequence; });
  std::erase_if(own_names, [&](const auto& entry) { return entry.second < sequence; });
}

void ServerConnection::PauseReading(bool pause, Stream::PauseReason reason) {
  if (pause) stream_->Pause(reason);
  else stream_->Resume(reason);
}

void ServerConnection::FlushSynthesised() {
  char type = 0;
  std::uint64_t sequence = 0;
  std::string out;
  while (ledger_.TakeSynthesised(type, sequence))
    if (user_ != nullptr) user_->OnSynthesised(type, sequence, out);
  if (!out.empty() && user_ != nullptr) user_->OnForward(AsBytes(out));
}

void ServerConnection::CancelEnded() {
  --cancels_;
  if (cancels_ > 0) return;
  if (after_cancel == AfterCancel::kNothing) {
    if (user_ != nullptr) user_->OnCancelEnded();
    return;
  }
  if (std::exchange(after_cancel, AfterCancel::kNothing) == AfterCancel::kRelease) pool_.Release(*this);
  else pool_.Discard(*this, DisconnectCause::kClientGone);
}

void ServerConnection::OnDrained() noexcept {
  if (user_ != nullptr) user_->OnServerDrained();
}

void ServerConnection::Broken(const std::string& why) {
  const auto& of = pool_.key();
  Log(LogLevel::kWarn, "server_protocol_error",
      {{"server", server_->name}, {"user", of.user}, {"database", of.database}, {"error", why}});
  OnClosed("server \"" + server_->name + "\": " + why);
}

void ServerConnection::OnClosed(const std::string& error) noexcept {
  if (broken_) return;
  broken_ = true;
  failure_ = error.empty() ? "server closed the connection unexpectedly" : error;
  if (!ready_) {
    pool_.OnLoginFailed(*this);
    return;
  }
  auto* user = user_;
  user_ = nullptr;
  const bool mid_message = this->mid_message();
  if (user != nullptr) {
    env_.shared().probe_now();
    user->OnServerLost(failure_, mid_message);
  }
  pool_.Discard(*this, error.empty() ? DisconnectCause::kServerClosed : DisconnectCause::kIoError);
}

}  // namespace waypost
