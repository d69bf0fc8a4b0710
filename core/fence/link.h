// A connection to one server on which it is asked for its WAL position, over and over, and what is in progress there, as
// the monitor: our own protocol on the worker's loop, so that a question is one write and its answer one read. What the server is, is asked once when
// the connection opens; the process at the other end of a connection cannot become another, so it need not be asked again.
//
//   kClosed --Open()--> kLoggingIn --> kVerifying --> kOpen     any failure, doubt or silence --> kClosed
//
// Worker thread only; owned by the worker's FenceProbe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "core/net/stash.h"
#include "core/net/stream.h"
#include "core/server/login.h"
#include "routing/fence.h"
#include "routing/settle.h"

namespace waypost {

class Env;
class FenceLink;
class Fields;

// What a server says it is.
struct ServerIdentity {
  bool recovering = false;
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;  // of a replica: that its WAL receiver streams; 0: none does, or it may not be seen
  std::int64_t started_us = 0;
  std::uint64_t segment_bytes = 0;
  Lsn replay;  // of a replica
};

// Who is told what happens on a link. Inside these it may call Close() and nothing else.
class FenceLinkUser {
 public:
  // It may be asked now, unless this closes it.
  virtual void OnLinkOpen(FenceLink& link, const ServerIdentity& identity) noexcept = 0;
  // kInsert: the primary's insert position.
  virtual void OnInsert(FenceLink& link, Lsn insert) noexcept = 0;
  // kFlush: the primary's flush position.
  virtual void OnFlush(FenceLink& link, Lsn flush) noexcept = 0;
  // kReplay: how far the replica has replayed, and the timeline that its WAL receiver was on right after (0: none).
  virtual void OnReplay(FenceLink& link, Lsn replay, std::uint32_t timeline) noexcept = 0;
  // kRunning: what may be in progress on the primary.
  virtual void OnRunning(FenceLink& link, Running running) noexcept = 0;
  // AskShown(): which of it the replica shows as committed; `more`: not all of them are said.
  virtual void OnShown(FenceLink& link, std::span<const Xid> shown, bool more) noexcept = 0;
  // kNudge: everything up to the time of asking is flushed.
  virtual void OnNudged(FenceLink& link) noexcept = 0;
  // Not called for Close().
  virtual void OnLinkClosed(FenceLink& link, const std::string& error) noexcept = 0;

 protected:
  ~FenceLinkUser() = default;
};

class FenceLink final : public StreamUser {
 public:
  enum class Question : std::uint8_t { kNone, kInsert, kFlush, kReplay, kNudge, kRunning, kShown };
  enum class State : std::uint8_t { kClosed, kLoggingIn, kVerifying, kOpen };

  FenceLink(Env& env, FenceLinkUser& user, ServerId id) : env_(env), user_(user), id_(id) {}
  ~FenceLink() = default;
  FenceLink(const FenceLink&) = delete;
  FenceLink& operator=(const FenceLink&) = delete;

  // That it is connected to, or was.
  [[nodiscard]] const std::string& database() const { return database_; }
  // From kClosed. `keys`: of an earlier login, or none.
  void Open(std::shared_ptr<const ServerConfig> server, const MonitorConfig& monitor, const ScramKeys& keys);
  void Close();

  // kOpen, and nothing is being asked.
  [[nodiscard]] bool Free() const { return state_ == State::kOpen && asked_ == Question::kNone; }
  // One at a time. The server must be what the question is for. Not for kShown.
  void Ask(Question question, TimePoint now);
  // kShown: which of `running` does the replica show as committed?
  void AskShown(const Running& running, TimePoint now);
  // True if it has owed something (an answer, the login) since before `time`.
  [[nodiscard]] bool SilentSince(TimePoint time) const {
    return state_ != State::kClosed && (state_ != State::kOpen || asked_ != Question::kNone) && waiting_since_ < time;
  }
  // Fails it from outside: it did not answer in time.
  void GiveUp();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] ServerId id() const { return id_; }
  [[nodiscard]] const ServerIdentity& identity() const { return identity_; }
  [[nodiscard]] const ServerConfig* server() const { return server_.get(); }
  // kOpen: the minor version of the protocol that the server speaks.
  [[nodiscard]] std::uint16_t protocol_minor() const { return protocol_minor_; }
  // Keys that the login derived: for the next one.
  [[nodiscard]] const std::optional<ScramKeys>& keys() const { return keys_; }
  // When what it was asked last was asked.
  [[nodiscard]] TimePoint asked_at() const { return waiting_since_; }
  // When the last answer came.
  [[nodiscard]] TimePoint heard_at() const { return heard_at_; }

  void OnConnected() noexcept override;
  void OnData(Bytes data) noexcept override;
  void OnClosed(const std::string& error) noexcept override;

 private:
  void LogIn(Bytes& data);
  // Takes one message. False: the link is closed.
  bool OnMessage(FrameHeader header, Bytes body);
  void Send(Question question, std::string_view bytes, TimePoint now);
  bool ReadResult(Bytes body);
  bool ReadSnapshot(Fields& fields, std::uint32_t length);
  bool ReadRow(Bytes body);
  bool ReadReplay(Bytes body);
  bool ReadShown(Bytes body);
  bool ReadIdentity(Bytes body);
  bool Answered();
  bool Fail(const std::string& error);

  Env& env_;
  FenceLinkUser& user_;
  const ServerId id_;
  State state_ = State::kClosed;
  Question asked_ = Question::kNone;
  std::shared_ptr<const ServerConfig> server_;
  std::string database_;
  std::optional<ServerLogin> login_;
  std::optional<ScramKeys> keys_;
  std::uint16_t protocol_minor_ = 0;
  std::unique_ptr<Stream> stream_;
  Stash stash_;
  ServerIdentity identity_;
  bool row_came_ = false;
  Lsn position_;
  std::uint32_t timeline_ = 0;
  std::optional<std::int32_t> age_;  // the first part of the answer to kRunning
  Running running_;
  std::vector<Xid> shown_;
  TimePoint waiting_since_{}, heard_at_{};
};

}  // namespace waypost
