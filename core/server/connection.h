// One connection to a server: logs in, then relays between the server and the session that leases it. It knows what the
// server owes (the ledger) and what state it is in; what a reply means to the client is the session's business.
// Worker thread only; owned by its Pool.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/net/stash.h"
#include "core/net/stream.h"
#include "core/server/login.h"
#include "core/server/pool.h"
#include "core/server/pooled_connection.h"
#include "routing/audit.h"
#include "routing/prepared.h"
#include "routing/reply_ledger.h"
#include "routing/settings.h"

namespace waypost {

class Env;

// What becomes of a message that is due to be forwarded.
enum class Relayed : std::uint8_t {
  kForward,
  kSkip,  // only this message is dropped
  kDrop,  // it is dropped, and what was gathered of this batch in the same read
};

// What a session hears from the server connection that it leases. It may let go of the connection only inside
// OnBatchDone, OnOwnDone and OnServerLost.
class ReplyUser {
 public:
  // One message has come. `body` is there for E, C, Z, S, N and A, and for D where it answers us, up to its first 64 KiB;
  // for t and T where they answer a Describe, up to 512 KiB.
  // If something is appended to `replacement`, that is forwarded instead. After a FATAL error OnServerLost follows at
  // once.
  virtual Relayed OnReply(const Answer& answer, FrameHeader header, Bytes body, std::string& replacement) noexcept = 0;
  // A message that we answer ourselves has its turn: append the answer.
  virtual void OnSynthesised(char type, std::uint64_t sequence, std::string& out) noexcept = 0;
  // Bytes for the client, in order.
  virtual void OnForward(Bytes bytes) noexcept = 0;
  // ReadyForQuery came, and no other is due.
  virtual void OnBatchDone(char status) noexcept = 0;
  // The answer to a Query of ours has ended, and no ReadyForQuery is due.
  virtual void OnOwnDone() noexcept = 0;
  // What the server sent in one go was relayed.
  virtual void OnRelayed() noexcept = 0;
  // No cancel request is on its way to the server any more.
  virtual void OnCancelEnded() noexcept = 0;
  // The server's queue has room again.
  virtual void OnServerDrained() noexcept = 0;
  // The connection failed. `mid_message`: the client got a part of a message.
  virtual void OnServerLost(const std::string& error, bool mid_message) noexcept = 0;
  // For those who look: the number of the session; 0: it is none.
  [[nodiscard]] virtual std::uint64_t number() const noexcept { return 0; }

 protected:
  ~ReplyUser() = default;
};

// Who else hears of the server connections of a worker: its fence and its start-up checks.
class ServerEvents {
 public:
  virtual void OnServerLoggedIn(ServerId server) noexcept = 0;
  // It was reloaded: what its start-ups told so far may be wrong.
  virtual void OnServerReloaded() noexcept = 0;

 protected:
  ~ServerEvents() = default;
};

class ServerConnection final : public PooledConnection, public StreamUser {
 public:
  ServerConnection(Env& env, ServerEvents& events, Pool& pool, std::shared_ptr<const ServerConfig> server);
  ~ServerConnection() override;

  void Lease(ReplyUser& user) { user_ = &user; }
  // No more calls to the user.
  void EndLease() { user_ = nullptr; }
  [[nodiscard]] bool leased() const { return user_ != nullptr; }

  // Closes the socket: says goodbye if the server still listens.
  void Disconnect();

  // False: stop for now, OnServerDrained follows. Note each message in ledger() first.
  bool Send(Bytes bytes);
  // A Query of ours, appended to `out`; its answer is swallowed. Returns its number in the ledger. Like every Query it
  // destroys the unnamed statement.
  std::uint64_t AskAside(std::string& out, std::string_view sql);
  // The same, of one that may fail: that is swallowed too.
  void TryAside(std::string& out, std::string_view sql);
  // A Close of ours of the prepared statement `name`; swallowed too.
  void CloseAside(std::string& out, std::string_view name);
  // The Parse `sequence`, which makes `statement`, is on its way.
  void AddStatement(std::uint64_t id, StatementRef statement, std::uint64_t sequence);
  // What was parsed before the message `sequence` is no more.
  void ForgetStatements(std::uint64_t sequence);
  // The client does not take what comes: stop or go on reading.
  void PauseReading(bool pause, Stream::PauseReason reason = Stream::kPeerSlow);
  // Answers that we give ourselves and that nothing from the server will bring up.
  void FlushSynthesised();

  [[nodiscard]] Ledger& ledger() { return ledger_; }
  // The client got a part of a message, and the rest is to come.
  [[nodiscard]] bool mid_message() const { return body_left_ > 0 && body_forward_; }
  [[nodiscard]] char status() const { return status_; }
  [[nodiscard]] const ServerLogin& login() const { return *login_; }
  [[nodiscard]] const ServerConfig& server() const { return *server_; }
  [[nodiscard]] Pool& pool() { return pool_; }
  [[nodiscard]] ServerId id() const { return id_; }
  [[nodiscard]] bool Clean() const override {
    return ready_ && !broken_ && status_ == 'I' && !tainted && ledger_.Idle() && cancels_ == 0 && stash_.empty();
  }
  [[nodiscard]] const SettingSet* settings_left() const override { return settings.get(); }
  [[nodiscard]] LoginFailure WhyLoginFailed() const override;
  void GiveUp(const std::string& why) noexcept override { OnClosed(why); }
  // See Stream.
  [[nodiscard]] unsigned Retransmissions() const { return stream_ == nullptr ? 0 : stream_->Retransmissions(); }
  [[nodiscard]] std::string RemoteName() const { return stream_ == nullptr ? "" : stream_->PeerName(); }
  [[nodiscard]] std::string LocalName() const { return stream_ == nullptr ? "" : stream_->LocalName(); }
  // The number of the session that leases it; 0: none does.
  [[nodiscard]] std::uint64_t session() const { return user_ == nullptr ? 0 : user_->number(); }

  // A cancel request for this connection is on its way, or has ended.
  void CancelStarted() { ++cancels_; }
  void CancelEnded();

  // What state the server side is in, kept by the session that leases it.
  Settings settings;
  Settings audited;                              // the settings as the last audit found them,
  AuditReport audit;                             // and what it said
  bool tainted = false;                          // its state is not what we believe: no other session may have it
  StatementRef unnamed;                         // what its unnamed statement is, if it is known,
  std::uint64_t unnamed_asked = 0;              // and, in the ledger, a Describe of it that is not answered yet
  std::unordered_map<std::uint64_t, ParsedThere> statements;  // the prepared statements that it has, by id
  // Where they bear the names that one client gave them, see Session::TakeOwnNames: all that may be there, and, in the ledger,
  // the Parse that made each; 0: it may be none. Empty: they bear ours.
  std::unordered_map<std::string, std::uint64_t> own_names;
  std::size_t statement_bytes = 0;  // of the texts of all that were parsed since it had none

  void OnConnected() noexcept override;
  void OnData(Bytes data) noexcept override;
  void OnDrained() noexcept override;
  void OnClosed(const std::string& error) noexcept override;

 private:
  class Output;
  void LogIn(Bytes data);
  void Relay(Bytes data);
  // One message whose bytes, as far as they must be, are there. False: stop relaying, the connection is gone.
  bool OnMessage(FrameHeader header, Bytes body, Output& output, bool& forward);
  [[nodiscard]] bool EndsConnection(FrameHeader header, Bytes body, Output& output);
  void Broken(const std::string& why);
  std::uint64_t Aside(std::string& out, std::string_view sql, Reply how);

  Env& env_;
  ServerEvents& events_;
  Pool& pool_;
  std::shared_ptr<const ServerConfig> server_;
  ServerId id_;
  std::optional<ServerLogin> login_;
  std::unique_ptr<Stream> stream_;
  ReplyUser* user_ = nullptr;
  Ledger ledger_;
  Stash stash_;
  std::uint32_t body_left_ = 0;     // of the message being relayed
  bool body_forward_ = false;
  bool rows_pass_ = false;          // the message before was a DataRow that was forwarded
  char status_ = 'I';
  std::string failure_;             // why it was lost before it was ready
};

}  // namespace waypost
