// Whole sessions without sockets, threads or a clock of their own: a real Worker (its sessions, pools, server connections, log-ins
// and fence) on a loop that is turned by hand. Clients say what the test says. Servers are small models of PostgreSQL: they answer
// log-ins, Waypost's own questions and plain statements, and are lost, go silent or fall behind when the test says so.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/config/config.h"
#include "core/env/shared.h"
#include "core/process/worker.h"
#include "parser/wire/backend.h"
#include "parser/wire/fields.h"
#include "parser/wire/scram.h"
#include "tests/support/demo_catalog.h"
#include "tests/support/every_split.h"
#include "tests/support/wire_builders.h"

namespace waypost::session_world {

class Server;
class World;

inline std::uint32_t U32At(std::string_view bytes, std::size_t at) { return ReadU32(AsBytes(bytes).data() + at); }

// The far end of a stream of Waypost's.
class Peer {
 public:
  Peer() = default;
  virtual ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Waypost will read it when the world runs.
  void Send(std::string_view bytes) { to_read_ += bytes; }
  // The connection ends after what was sent; `error` empty: it is closed in order.
  void End(std::string error = {}) { end_ = std::move(error); }
  // What was sent and not read is lost with it.
  void Break() {
    to_read_.clear();
    End("connection reset by peer");
  }
  // Waypost has not closed it.
  [[nodiscard]] bool open() const { return stream_ != nullptr && !finished_; }
  [[nodiscard]] bool paused() const { return pauses_ != 0; }
  // From now on what Waypost writes is more than the peer takes; until Drain().
  void Fill() { full_ = true; }
  void Drain() {
    full_ = false;
    if (user_ != nullptr) user_->OnDrained();
  }
  // One thing happens at Waypost's end: false if there is nothing to happen. At most `most` bytes are read at once, and none
  // beyond cut_at together with those before it.
  bool Deliver(std::size_t most);

  std::size_t cut_at = std::string::npos;  // in what is sent from now on
  unsigned retransmissions = 0;  // see Stream

 protected:
  // Waypost has written it.
  virtual void Hear(std::string_view bytes) = 0;

 private:
  friend class World;
  class End_;
  std::unique_ptr<Stream> Open(StreamUser* user, bool connecting);
  void Report(StreamUser* user) { user_ = user; }

  Stream* stream_ = nullptr;  // Waypost's
  StreamUser* user_ = nullptr;
  std::string to_read_;
  std::optional<std::string> end_;
  std::uint8_t pauses_ = 0;
  bool connecting_ = false;
  bool refused_ = false;
  bool full_ = false;
  bool finished_ = false;
};

// A connection of Waypost's to a server, and the process at its other end.
class Backend final : public Peer {
 public:
  Backend(World& world, Server& server, std::uint32_t pid) : world_(world), server_(server), pid_(pid) {}

  // It runs statements of clients: no link, no start-up check, no cancel request.
  [[nodiscard]] bool serves() const { return phase_ == Phase::kReady && kind_ == Kind::kStatements; }
  [[nodiscard]] bool cancels() const { return kind_ == Kind::kCancel; }
  [[nodiscard]] std::uint32_t pid() const { return pid_; }
  [[nodiscard]] char status() const { return status_; }
  [[nodiscard]] const std::string& database() const { return database_; }

 private:
  enum class Phase : std::uint8_t { kStartup, kReady };
  enum class Kind : std::uint8_t { kStatements, kLink, kCheck, kCancel };

  void Hear(std::string_view bytes) override;
  void Start(std::string_view packet);
  void On(char type, std::string_view body);
  void OnQuery(std::string_view text);
  void OnExtended(char type, std::string_view body);
  void OnFunction(std::uint32_t function);
  // Runs one statement; `rows`: with a RowDescription.
  std::string Run(std::string_view sql, bool describe);
  std::string Fail(std::string_view sqlstate);
  std::string Ready() { return wire::Message('Z', std::string(1, status_)); }
  void Answer(const std::string& bytes);

  World& world_;
  Server& server_;
  const std::uint32_t pid_;
  Phase phase_ = Phase::kStartup;
  Kind kind_ = Kind::kStatements;
  std::string input_, database_;
  char status_ = 'I';
  bool skips_ = false;  // to Sync
  bool copies_ = false;  // takes rows
  std::map<std::string, std::string, std::less<>> statements_, portals_;
};

// What a server was asked to run.
struct Ran {
  std::string sql;
  std::uint32_t pid;
};

class Server {
 public:
  explicit Server(std::string its_name) : name(std::move(its_name)) {}

  // How often a statement that begins with `sql` was run here.
  [[nodiscard]] std::size_t TimesRun(std::string_view sql) const {
    return static_cast<std::size_t>(
        std::count_if(ran.begin(), ran.end(), [&](const Ran& one) { return one.sql.starts_with(sql); }));
  }
  // Connections for statements that Waypost has open.
  [[nodiscard]] std::vector<Backend*> serving() const {
    std::vector<Backend*> found;
    for (const auto& backend : backends)
      if (backend->serves() && backend->open()) found.push_back(backend.get());
    return found;
  }
  // All of it is gone at once, and nobody can connect.
  void Die() {
    up = false;
    for (auto& backend : backends) backend->Break();
  }

  const std::string name;
  bool up = true;  // answers the monitor
  mutable TimePoint sampled{seconds(1000)};  // when it last did
  bool replica = false;
  std::uint64_t wal = 0x3000;  // inserted, or of a replica replayed
  bool lags = false;  // a replica that replays nothing for the time being
  bool hangs = false;  // runs what comes, and does not answer
  bool links_hang = false;  // the same of Waypost's own questions
  std::string fails_with;  // a SQLSTATE: of every SELECT
  std::string cannot_parse;  // a text that fails when it is parsed next; once
  bool cancels_hang = false;  // the connections of cancel requests stay open, until EndCancels()
  void EndCancels() {
    for (auto& backend : backends)
      if (backend->cancels()) backend->End();
  }
  // If there, what statements are answered waits for LetGo().
  std::optional<std::vector<std::pair<Backend*, std::string>>> withheld;
  void LetGo() {
    const auto answers = std::exchange(withheld, std::nullopt);
    for (const auto& [backend, bytes] : *answers) backend->Send(bytes);
  }
  // Of the answers to statements so many bytes still come, then the connection is lost that says the last one. Once.
  std::optional<std::size_t> answers_left;
  std::size_t answered = 0;  // bytes of answers to statements so far
  std::vector<Ran> ran;
  std::vector<std::string> parsed;  // the names that it was given
  std::vector<std::uint32_t> cancelled;  // pids
  std::vector<std::unique_ptr<Backend>> backends;
};

// A client of Waypost's.
class Client final : public Peer {
 public:
  explicit Client(World& world) : world_(world) {}

  // Says it, and lets the world run for 2 ms: long enough for a replica to be asked how far it is.
  void Say(std::string_view bytes);
  // What Waypost told it since it was asked last: "T D(a) C(SELECT 1) Z(I)", "E(08006)", "E(57P01!)" if it is FATAL, "D~" for a
  // message that is not whole; "closed" at the end if it was closed.
  std::string Hears();
  // Says one packet after the other, until it is closed, and waits for an answer to each for a while; all that it hears, with a "|"
  // ahead of what answers each.
  std::string Hold(const std::vector<std::string>& packets);
  // From the key that it was told.
  [[nodiscard]] std::string CancelPacket() const { return wire::Packet(wire::U32(wire::kCancelCode) + key_); }
  [[nodiscard]] bool logged_in() const { return ready_; }

 private:
  void Hear(std::string_view bytes) override {
    heard_ += bytes;
    LogIn();
  }
  void LogIn();
  World& world_;
  std::string heard_, key_;
  std::optional<ScramClient> scram_;
  bool ready_ = false;
  bool told_closed_ = false;
};

// Servers "a" (the primary) and "b" (its replica), one worker, as many clients as there should be.
class World {
 public:
  explicit World(const std::function<void(Config&)>& configure = [](Config&) {});
  // No session was told anything that its state has no rule for.
  ~World() {
    CHECK(worker->metrics().Read(Counter::kUnexpectedEvents) == 0);
    clients.clear();
  }

  // Everything that can happen without time passing.
  void Run();
  // Time passes, in steps in which the prober looks at the servers.
  void Pass(milliseconds time);
  // Time passes, and neither the prober nor a session moves: the process stood still, or its machine did.
  void StandStill(milliseconds time) { loop->Step(time); }
  // "b" is the primary, and "a", which does not know it, goes on beside it.
  void PromoteBeside() {
    b.replica = false;
    ++timeline;
    Show(ServerId{1});
    Run();
  }
  // The session of `client` goes on as another one, as if on another worker. False: it may not now.
  bool Move(Client& client);
  // A client that has logged in and heard all that it was told.
  Client& Connect(const std::string& database = "d", const std::string& user = "app");
  // One that has said nothing yet.
  Client& ComeIn();
  [[nodiscard]] std::string StartupOf(const std::string& database = "d", const std::string& user = "app") const {
    return wire::Startup({{"user", user}, {"database", database}});
  }
  // Nothing has been written for a while: from now on a read is sent at once, and held until its proof is there.
  void BeQuiet(Client& client);
  // The servers as the prober now sees them; `primary`: nobody knows one.
  void Show(std::optional<ServerId> primary);
  // "a" dies, and "b" is the primary.
  void FailOver() {
    a.Die();
    b.replica = false;
    ++timeline;
    Show(ServerId{1});
    Run();
  }
  // The primary has written something.
  void Write(Server& server) {
    ++server.wal;
    if (!b.lags) b.wal = std::max(b.wal, server.wal);
  }
  [[nodiscard]] unsigned places_taken(ServerId server) { return shared.budgets[server].used(); }

  Server a{"a"}, b{"b"};
  std::size_t chunk = std::string::npos;  // Waypost reads at most so much at once
  std::uint32_t timeline = 1;
  std::uint32_t next_pid = 100;
  std::uint64_t probes_asked = 0;
  Shared shared;
  std::vector<std::unique_ptr<Client>> clients;

 private:
  class Link;
  std::optional<ServerId> primary_ = ServerId{0};
  [[nodiscard]] View ViewNow() const;
  [[nodiscard]] static std::shared_ptr<const Catalog> Pictures() {
    static const auto kCatalog = std::make_shared<const Catalog>(DemoCatalog());
    return kCatalog;
  }
  friend class Peer;

 public:
  ConfigSnapshot config;
  Loop* loop = nullptr;  // the worker's
  std::unique_ptr<Worker> worker;
};

// --- streams

class Peer::End_ final : public Stream {
 public:
  explicit End_(Peer& peer) : peer_(&peer) {}
  [[nodiscard]] std::string PeerName() const override { return "[2001:db8::7]:5000"; }
  ~End_() override {
    if (peer_ == nullptr) return;
    peer_->stream_ = nullptr;
    peer_->user_ = nullptr;
  }
  bool Write(Bytes bytes) override {
    if (peer_ == nullptr || peer_->finished_) return true;
    if (!peer_->end_) peer_->Hear(AsText(bytes));
    return peer_ == nullptr || !peer_->full_;
  }
  void Pause(PauseReason reason) override {
    if (peer_ != nullptr) peer_->pauses_ |= reason;
  }
  void Resume(PauseReason reason) override {
    if (peer_ != nullptr) peer_->pauses_ = static_cast<std::uint8_t>(peer_->pauses_ & ~reason);
  }
  void Finish() override {
    if (peer_ == nullptr) return;
    peer_->finished_ = true;
    peer_->user_ = nullptr;
  }
  void Start(StreamUser& user) override { peer_->Report(&user); }
  std::unique_ptr<DetachedStream> Detach() override {
    if (peer_ == nullptr || peer_->finished_ || peer_->full_) return nullptr;
    peer_->stream_ = nullptr;
    peer_->user_ = nullptr;
    return std::make_unique<Detached>(*std::exchange(peer_, nullptr));
  }
  [[nodiscard]] unsigned Retransmissions() const override { return peer_ == nullptr ? 0 : peer_->retransmissions; }
  void ReportTo(StreamUser& user) override {
    if (peer_ != nullptr) peer_->user_ = &user;
  }
  Peer* peer_;  // nullptr: gone

 private:
  struct Detached final : DetachedStream {
    explicit Detached(Peer& of) : peer(of) {}
    std::unique_ptr<Stream> Attach(Loop&) override { return peer.Open(nullptr, false); }
    Peer& peer;
  };
};

inline Peer::~Peer() {
  if (stream_ != nullptr) static_cast<End_*>(stream_)->peer_ = nullptr;
}

inline std::unique_ptr<Stream> Peer::Open(StreamUser* user, bool connecting) {
  auto stream = std::make_unique<End_>(*this);
  stream_ = stream.get();
  user_ = user;
  connecting_ = connecting;
  return stream;
}

inline bool Peer::Deliver(std::size_t most) {
  if (user_ == nullptr) return false;
  if (std::exchange(connecting_, false)) {
    if (refused_) std::exchange(user_, nullptr)->OnClosed("connection refused");
    else user_->OnConnected();
    return true;
  }
  if (paused()) return false;
  if (!to_read_.empty()) {
    const auto length = std::min({most, to_read_.size(), cut_at == 0 ? std::string::npos : cut_at});
    const auto piece = to_read_.substr(0, length);
    to_read_.erase(0, length);
    cut_at = cut_at == std::string::npos || cut_at == 0 ? std::string::npos : cut_at - length;
    user_->OnData(AsBytes(piece));
    return true;
  }
  if (!end_) return false;
  std::exchange(user_, nullptr)->OnClosed(*end_);
  return true;
}

// --- servers

inline void Backend::Answer(const std::string& bytes) {
  if (kind_ == Kind::kLink ? server_.links_hang : server_.hangs) return;
  if (kind_ != Kind::kStatements) return Send(bytes);
  server_.answered += bytes.size();
  if (server_.withheld) return server_.withheld->emplace_back(this, bytes), void();
  if (!server_.answers_left) return Send(bytes);
  const auto comes = std::min(bytes.size(), *server_.answers_left);
  Send(std::string_view(bytes).substr(0, comes));
  *server_.answers_left -= comes;
  if (*server_.answers_left > 0) return;
  server_.answers_left.reset();
  End("connection reset by peer");
}

inline void Backend::Hear(std::string_view bytes) {
  input_ += bytes;
  for (;;) {
    const std::size_t type_bytes = phase_ == Phase::kStartup ? 0 : 1;
    if (input_.size() < type_bytes + 4) return;
    const std::size_t length = type_bytes + U32At(input_, type_bytes);
    if (input_.size() < length) return;
    const auto message = input_.substr(0, length);
    input_.erase(0, length);
    const auto body = std::string_view(message).substr(type_bytes + 4);
    if (type_bytes == 0) Start(body);
    else On(message[0], body);
  }
}

inline void Backend::Start(std::string_view packet) {
  if (U32At(packet, 0) == wire::kCancelCode) {
    server_.cancelled.push_back(U32At(packet, 4));
    kind_ = Kind::kCancel;
    if (!server_.cancels_hang) End();
    return;
  }
  Fields fields(AsBytes(packet.substr(4)));
  for (auto name = fields.CString(); !name.empty(); name = fields.CString()) {
    const auto value = fields.CString();
    if (name == "database") database_ = value;
    if (name == "application_name" && value == "waypost fence") kind_ = Kind::kLink;
  }
  phase_ = Phase::kReady;
  std::string out = wire::Message('R', wire::U32(0));
  for (const auto& [name, value] :
       std::initializer_list<std::pair<std::string_view, std::string_view>>{{"server_version", "15.8"},
                                                                            {"client_encoding", "UTF8"},
                                                                            {"standard_conforming_strings", "on"},
                                                                            {"DateStyle", "ISO, MDY"},
                                                                            {"application_name", ""},
                                                                            {"is_superuser", "off"}})
    out += wire::Message('S', wire::CString(name) + wire::CString(value));
  Send(out + wire::Message('K', wire::U32(pid_) + std::string(4, 'k')) + Ready());
}

inline void Backend::On(char type, std::string_view body) {
  if (type == 'X') return End();
  if (copies_) {
    if (type == 'c' || type == 'f') {
      copies_ = false;
      Answer((type == 'c' ? wire::Message('C', wire::CString("COPY 1")) : Fail("57014")) + Ready());
    }
    return;
  }
  if (type == 'Q') return OnQuery(body.substr(0, body.size() - 1));
  if (type == 'F') return OnFunction(U32At(body, 0));
  OnExtended(type, body);
}

inline std::string Column(std::string_view value) {
  return wire::U32(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline const std::string kNull = wire::U32(~std::uint32_t{0});
inline std::string U64(std::uint64_t value) {
  return wire::U32(static_cast<std::uint32_t>(value >> 32U)) + wire::U32(static_cast<std::uint32_t>(value));
}
// One column, "v", a text.
inline std::string Columns() {
  return wire::Message('T', wire::U16(1) + wire::CString("v") + wire::U32(0) + wire::U16(0) + wire::U32(25) + wire::U16(0xFFFF) +
                                wire::U32(0xFFFFFFFF) + wire::U16(0));
}

inline void Backend::OnFunction(std::uint32_t function) {
  constexpr std::uint32_t kSnapshot = 5061, kAge = 1181;  // else a position
  const auto value = function == kAge        ? wire::U32(1000)
                     : function == kSnapshot ? wire::U32(0) + U64(1003) + U64(1003)
                                             : U64(server_.wal);
  Answer(wire::Message('V', Column(value)) + Ready());
}

inline void Backend::OnQuery(std::string_view text) {
  if (text.find("pg_control_system") != std::string_view::npos) {
    const auto row = wire::U16(7) + Column(server_.replica ? "t" : "f") + Column("7") + Column("1") +
                     Column(std::to_string(world_.timeline)) + Column("16777216") + (server_.replica ? Column("0/3000") : kNull) +
                     kNull;
    return Answer(wire::Message('D', row) + Ready());
  }
  if (text.find("default_transaction_isolation") != std::string_view::npos) {
    kind_ = Kind::kCheck;
    return Answer(wire::Message('D', wire::U16(1) + Column("=read committed")) + Ready());
  }
  std::string out;
  for (std::size_t at = 0; at < text.size() && !copies_;) {
    const auto end = std::min(text.find(';', at), text.size());
    auto sql = text.substr(at, end - at);
    at = end + 1;
    while (!sql.empty() && std::isspace(static_cast<unsigned char>(sql.front())) != 0) sql.remove_prefix(1);
    if (sql.empty()) continue;
    const auto answer = Run(sql, true);
    out += answer;
    if (answer[0] == 'E') break;
  }
  Answer(copies_ ? out : out + Ready());
}

inline std::string Backend::Fail(std::string_view sqlstate) {
  if (status_ == 'T') status_ = 'E';
  return wire::Message('E', "SERROR" + std::string(1, '\0') + "VERROR" + std::string(1, '\0') + "C" + wire::CString(sqlstate) +
                                "M" + wire::CString("it failed") + std::string(1, '\0'));
}

inline std::string Backend::Run(std::string_view sql, bool describe) {
  const auto is = [&](std::string_view word) { return sql.starts_with(word); };
  const auto done = [](std::string_view tag) { return wire::Message('C', wire::CString(tag)); };
  if (status_ == 'E' && !is("ROLLBACK") && !is("COMMIT")) return Fail("25P02");
  server_.ran.push_back({std::string(sql), pid_});
  if (sql.find("boom") != std::string_view::npos) return Fail("22012");
  if (is("BEGIN") || is("START")) return status_ = 'T', done("BEGIN");
  if (is("COMMIT")) return done(std::exchange(status_, 'I') == 'E' ? "ROLLBACK" : "COMMIT");
  if (is("ROLLBACK")) return status_ = 'I', done("ROLLBACK");
  if (is("INSERT") || is("UPDATE")) {
    if (server_.replica) return Fail("25006");
    world_.Write(server_);
    return done(is("INSERT") ? "INSERT 0 1" : "UPDATE 1");
  }
  if (is("COPY")) return copies_ = true, wire::Message('G', std::string(1, '\0') + wire::U16(0));
  if (is("SELECT") && !server_.fails_with.empty()) return Fail(server_.fails_with);
  if (!is("SELECT")) return done(sql.substr(0, sql.find(' ')));
  std::string rows;
  const int count = sql.find("two") == std::string_view::npos ? 1 : 2;
  for (int i = 0; i < count; ++i) rows += wire::Message('D', wire::U16(1) + Column(server_.name));
  return (describe ? Columns() : std::string()) + rows + done("SELECT " + std::to_string(count));
}

inline void Backend::OnExtended(char type, std::string_view body) {
  if (type == 'S') {
    skips_ = false;
    return Answer(Ready());
  }
  if (skips_ || type == 'H') return;
  Fields fields(AsBytes(body));
  std::string out;
  if (type == 'P') {
    const std::string name(fields.CString());
    statements_[name] = fields.CString();
    server_.parsed.push_back(name);
    const bool fails = !server_.cannot_parse.empty() && server_.cannot_parse == statements_[name];
    if (fails) server_.cannot_parse.clear();
    out = fails ? Fail("42P01") : wire::Message('1');
  } else if (type == 'B') {
    const std::string portal(fields.CString());
    portals_[portal] = statements_[std::string(fields.CString())];
    out = wire::Message('2');
  } else if (type == 'D') {
    const char kind = fields.Byte();
    const std::string name(fields.CString());
    const auto& sql = kind == 'S' ? statements_[name] : portals_[name];
    if (kind == 'S') out = wire::Message('t', wire::U16(0));
    out += sql.starts_with("SELECT") ? Columns() : wire::Message('n');
  } else if (type == 'C') {
    (fields.Byte() == 'S' ? statements_ : portals_).erase(std::string(fields.CString()));
    out = wire::Message('3');
  } else if (type == 'E') {
    const auto& sql = portals_[std::string(fields.CString())];
    if (sql.find("pg_last_wal_replay_lsn") != std::string::npos)
      out = wire::Message('D', wire::U16(2) + Column(U64(server_.wal)) + Column(wire::U32(world_.timeline))) +
            wire::Message('C', wire::CString("SELECT 1"));
    else if (sql.find("string_agg") != std::string::npos)
      out = wire::Message('D', wire::U16(1) + kNull) + wire::Message('C', wire::CString("SELECT 1"));
    else out = Run(sql, false);
  }
  skips_ = !out.empty() && out.front() == 'E';
  Answer(out);
}

// --- clients

inline void Client::LogIn() {
  while (!ready_ && heard_.size() >= kHeaderBytes && heard_.size() >= 1 + U32At(heard_, 1)) {
    const auto message = heard_.substr(0, 1 + U32At(heard_, 1));
    const auto body = std::string_view(message).substr(kHeaderBytes);
    if (message[0] == 'E') return;
    heard_.erase(0, message.size());
    if (message[0] == 'K') key_ = body;
    if (message[0] == 'Z') ready_ = true;
    if (message[0] != 'R') continue;
    const auto code = U32At(body, 0);
    const std::string payload(body.substr(4));
    if (code == 10) {
      scram_.emplace(ScramCredentials{"secret", true, {}}, "nonce");
      const auto first = scram_->ClientFirst();
      Send(wire::Message('p', wire::CString("SCRAM-SHA-256") + wire::U32(static_cast<std::uint32_t>(first.size())) + first));
    } else if (code == 11) {
      Send(wire::Message('p', *scram_->OnServerFirst(payload)));
    }
  }
}

inline std::string Client::Hears() {
  FrameReader reader;
  reader.Take(heard_);
  std::string said;
  const auto add = [&](const std::string& one) { said += (said.empty() ? "" : " ") + one; };
  std::size_t at = 0;
  for (const auto& frame : reader.seen().frames) {
    const auto whole = U32At(heard_, at + 1) - 4;
    at += kHeaderBytes + frame.body.size();
    std::string one(1, frame.type);
    const std::string_view body = frame.body;
    if (body.size() < whole) {
      add(one + "~");
      continue;
    }
    if (frame.type == 'C') one += "(" + std::string(body.substr(0, body.size() - 1)) + ")";
    if (frame.type == 'Z') one += "(" + std::string(body) + ")";
    if (frame.type == 'D') one += "(" + std::string(body.substr(6)) + ")";
    if (frame.type == 'E') {
      const auto error = ReadError(AsBytes(body));
      one += "(" + std::string(error.sqlstate) + (error.severity == "FATAL" ? "!" : "") + ")";
    }
    add(one);
  }
  heard_.clear();
  if (!open() && !std::exchange(told_closed_, true)) add("closed");
  return said;
}

inline void Client::Say(std::string_view bytes) {
  Send(bytes);
  world_.Run();
  world_.Pass(milliseconds{2});
}

inline std::string Client::Hold(const std::vector<std::string>& packets) {
  std::string heard;
  for (const auto& packet : packets) {
    if (!open()) break;
    Say(packet);
    auto answer = Hears();
    if (answer.empty() && open()) {
      world_.Pass(milliseconds{1000});
      answer = Hears();
    }
    heard += (heard.empty() ? "| " : " | ") + answer;
  }
  return heard;
}

// --- the world

class World::Link final : public Connector {
 public:
  explicit Link(World& world) : world_(world) {}
  std::unique_ptr<Stream> Connect(const std::string& host, std::uint16_t /*port*/, StreamUser& user) override {
    auto& server = host == "a" ? world_.a : world_.b;
    auto& backend = server.backends.emplace_back(std::make_unique<Backend>(world_, server, world_.next_pid++));
    backend->refused_ = !server.up;
    return backend->Open(&user, true);
  }

 private:
  World& world_;
};

inline World::World(const std::function<void(Config&)>& configure) {
  static const bool kQuiet = ConfigureLog({.level = LogLevel::kError, .format = LogFormat::kText, .file = ""});
  (void)kQuiet;
  b.replica = true;
  auto made = std::make_shared<Config>();
  made->listeners.resize(1);
  made->monitor.user = "monitor";
  for (const auto* name : {"a", "b"}) {
    auto& server = made->servers.emplace_back();
    server.name = server.host = name;
    server.max_connections = 4;
  }
  static const auto kVerifier = FormatVerifier(MakeVerifier("secret", std::string(kScramSaltBytes, 's'), 1));
  auto& user = made->users.emplace_back();
  user.name = "app";
  user.scram = kVerifier;
  configure(*made);
  config = made;
  shared.credentials.Load(*config);
  shared.probe_now = [this] { ++probes_asked; };
  shared.want_catalog = [this](const std::string& database) {
    worker->SetCatalog(database, Pictures(), shared.catalog_clock.now());
  };
  shared.forget_database = [](const std::string&) {};
  auto by_hand = std::make_unique<Loop>(TimePoint(seconds(1000)));
  loop = by_hand.get();
  worker = std::make_unique<Worker>(0, shared, config, ViewNow(), std::move(by_hand), std::make_unique<Link>(*this));
  shared.workers.push_back(worker.get());
  worker->StartTicking();
  Show(primary_);
  Run();
}

inline View World::ViewNow() const {
  auto view = std::make_shared<ClusterView>();
  view->primary = primary_;
  for (const auto* server : {&a, &b}) {
    auto& seen = view->servers.emplace_back();
    seen.name = seen.host = server->name;
    seen.up = server->up;
    seen.role = server->replica ? Role::kReplica : Role::kPrimary;
    seen.system_identifier = 7;
    seen.timeline = timeline;
    seen.started_us = 1;
    if (server->up && loop != nullptr) server->sampled = loop->Now();
    seen.sampled = server->sampled;
    seen.max_connections = 4;
    seen.insert_lsn = seen.flush_lsn = seen.replay_lsn = Lsn{server->wal};
    if (!server->replica) continue;
    seen.sync_state = SyncState::kSync;
    seen.streaming = seen.readable = seen.eligible = server->up;
    if (!seen.eligible) seen.ineligible_why = "down";
  }
  return view;
}

inline void World::Show(std::optional<ServerId> primary) {
  primary_ = primary;
  worker->SetView(ViewNow());
}

inline void World::BeQuiet(Client& client) {
  for (int i = 0; i < 3; ++i) {
    Pass(milliseconds{500});
    client.Say(wire::Query("SELECT * FROM t"));
  }
  client.Hears();
}

inline void World::Run() {
  for (bool any = true; any;) {
    loop->Step(Duration{0});
    any = false;
    for (auto* server : {&a, &b})
      for (std::size_t i = 0; i < server->backends.size(); ++i) any = server->backends[i]->Deliver(chunk) || any;
    for (std::size_t i = 0; i < clients.size(); ++i) any = clients[i]->Deliver(chunk) || any;
  }
}

inline void World::Pass(milliseconds time) {
  using std::chrono::microseconds;
  const auto until = loop->Now() + time;
  const Duration step = time > milliseconds{20} ? milliseconds{5} : microseconds{200};
  worker->SetView(ViewNow());
  for (Duration seen{0}; loop->Now() < until; seen += step) {
    if (seen >= milliseconds{100}) {
      worker->SetView(ViewNow());
      seen = {};
    }
    loop->Step(std::min<Duration>(until - loop->Now(), step));
    Run();
  }
}

inline Client& World::ComeIn() {
  auto& client = *clients.emplace_back(std::make_unique<Client>(*this));
  auto stream = client.Open(nullptr, false);
  client.Report(worker->Accept(std::move(stream), "peer", "listener"));
  return client;
}

inline bool World::Move(Client& client) {
  if (client.user_ == nullptr) return false;
  SessionRecord record;
  auto detached = static_cast<Session*>(client.user_)->Leave(record);
  if (!detached) return false;
  worker->Receive(std::move(record), detached->Attach(*loop));
  Run();
  return true;
}

inline Client& World::Connect(const std::string& database, const std::string& user) {
  auto& client = ComeIn();
  client.Say(StartupOf(database, user));
  return client;
}

}  // namespace waypost::session_world
