// Who and what is there: sessions, pools and server connections of all workers, and how to end one session or cancel what it
// runs. Each worker is asked in its own thread, between its statements, a bounded number of rows a turn, so that ten thousand
// sessions hold nobody up. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/fence/report.h"
#include "core/observe/digests.h"
#include "core/observe/traffic.h"
#include "parser/sql/verdict.h"
#include "routing/cluster_view.h"
#include "routing/decide.h"

namespace waypost {

// Of a session, in words: "0-17". `number` is given once in the life of the process; `worker` is where the session is now, which
// may be another one a moment later.
struct SessionId {
  std::size_t worker = 0;
  std::uint64_t number = 0;
  bool operator==(const SessionId&) const = default;
};
[[nodiscard]] std::string SessionIdText(SessionId id);
// Nothing: it is not of the form "WORKER-NUMBER".
[[nodiscard]] std::optional<SessionId> ReadSessionId(std::string_view text);

enum class SessionState : std::uint8_t {
  kIdle,
  kActive,             // a server runs its statement
  kWaiting,            // for a connection, for a primary, for the fence
  kIdleInTransaction,
  kAborted,            // idle in a transaction that has failed
  kLogin,              // not logged in yet
  kCount
};
// "idle", "active", "waiting", "idle in transaction", "idle in transaction (aborted)", "log-in".
[[nodiscard]] std::string_view SessionStateName(SessionState state);
[[nodiscard]] std::optional<SessionState> ReadSessionState(std::string_view name);

// Ages are as of the moment at which the worker was asked.
struct SessionRow {
  SessionId id;
  std::string user, database, application;
  std::string client, local;  // "ADDRESS:PORT", the client's and ours; empty if it is not known
  SessionState state = SessionState::kLogin;
  std::string server;           // that of the connection that it holds; empty: it holds none
  std::uint32_t server_pid = 0;  // of that connection; 0: none
  PinReason pin = PinReason::kNone;
  Duration age{};        // since it connected
  Duration state_age{};  // since its state is this one
  // Of what runs now, or ran last: without literals, at most kMaxDigestTextBytes. Null: none, or not known (digests are off, or
  // its entry made room for another).
  std::shared_ptr<const std::string> statement;
  // Where that went, and why; nothing: it has sent none yet.
  std::optional<Target> target;
  Reason reason = Reason::kNotUnderstood;
  std::uint64_t statements = 0;  // batches that were answered
  std::size_t prepared = 0;  // statements that it has names for
  std::uint32_t cancel_pid = 0;
};

// One session in full.
struct SessionDetail : SessionRow {
  std::vector<std::string> settings;  // names of those that differ from what it started with, sorted
  PinReason pin_for_good = PinReason::kNone;  // what only the end of the session ends
  std::string listener;
};

// Which sessions; what is empty does not matter.
struct SessionQuestion {
  std::string user{}, database{}, application{}, server{};
  std::optional<SessionState> state{};
  std::optional<bool> pinned{};
  std::size_t offset = 0;
  std::size_t limit = 200;
};

struct SessionReport {
  std::size_t total = 0;  // that the question fits
  // In order of worker, then of place there; at most `limit`. One that moves to another worker meanwhile may be here twice, or not.
  std::vector<SessionRow> sessions;
  unsigned workers_missing = 0;  // how many did not answer in time

  void Add(SessionReport other);
};

// How many sessions one user has in one database.
struct ClientCrowd {
  std::string database, user;
  std::size_t idle = 0, active = 0, waiting = 0, in_transaction = 0, logging_in = 0;
  Duration longest_wait{};
  [[nodiscard]] std::size_t total() const { return idle + active + waiting + in_transaction + logging_in; }
};
struct ClientReport {
  std::vector<ClientCrowd> crowds;  // one for each (database, user), sorted; of those who log in both are empty
  unsigned workers_missing = 0;

  void Add(ClientReport other);
  // The one of `database` and `user`, made if there is none. Valid until the next is made.
  ClientCrowd& Of(std::string_view database, std::string_view user);
};

struct PoolRow {
  std::size_t worker = 0;
  std::string server, user, database;
  Role role = Role::kUnknown;
  std::size_t idle = 0, busy = 0, connecting = 0, waiting = 0;
  unsigned max = 0;  // connections that it may have; 0: only the server's limit counts
  Duration longest_wait{};
};
struct PoolReport {
  std::vector<PoolRow> pools;
  unsigned workers_missing = 0;

  void Add(PoolReport other);
};

enum class ConnectionState : std::uint8_t { kIdle, kBusy, kLogin, kCancelling, kCount };
// "idle", "busy", "log-in", "cancelling".
[[nodiscard]] std::string_view ConnectionStateName(ConnectionState state);

struct ConnectionRow {
  std::size_t worker = 0;
  std::string server, user, database;
  std::string remote, local;  // "ADDRESS:PORT", the server's and ours; empty if it is not known
  ConnectionState state = ConnectionState::kIdle;
  std::uint32_t pid = 0;  // of the server process; 0: not logged in yet
  std::optional<SessionId> session;  // who holds it
  Duration age{};  // since it connected
  Duration idle{};  // since it was used last; 0 unless idle
  std::size_t prepared = 0;  // statements that it has
  bool closing = false;  // it closes as soon as nobody holds it
};
struct ConnectionReport {
  std::vector<ConnectionRow> connections;
  unsigned workers_missing = 0;

  void Add(ConnectionReport other);
};

// One worker, as the census sees it; it outlives the census.
class CensusPart {
 public:
  // Any thread. `task` runs in the worker's thread, in order, other things between two of them.
  virtual void Post(std::function<void()> task) = 0;

  // From here on: the worker's thread only. A turn begins at place `from` (0 is the first), adds what it finds, and returns where
  // the next turn begins; nothing: that was all. None looks at more than kRowsPerTurn sessions or pools.
  static constexpr std::size_t kRowsPerTurn = 200;
  using NextPlace = std::optional<std::size_t>;
  virtual NextPlace ListSessions(std::size_t from, const SessionQuestion& question, SessionReport& into) = 0;
  virtual NextPlace CountClients(std::size_t from, ClientReport& into) = 0;
  virtual NextPlace ListPools(std::size_t from, PoolReport& into) = 0;
  virtual NextPlace ListConnections(std::size_t from, ConnectionReport& into) = 0;
  [[nodiscard]] virtual TrafficReport ReportTraffic() const = 0;
  [[nodiscard]] virtual DigestReport ReportDigests() const = 0;
  [[nodiscard]] virtual FenceReport ReportFence() const = 0;
  // Nothing: there is no such session (any more).
  [[nodiscard]] virtual std::optional<SessionDetail> DescribeSession(std::uint64_t number) = 0;
  // False: there is no such session.
  [[nodiscard]] virtual bool EndSession(std::uint64_t number) = 0;
  // All clients of `database`, or of all databases if it is empty, but for consoles; how many they were is added to `ended`.
  virtual NextPlace EndClientsOf(std::size_t from, const std::string& database, std::size_t& ended) = 0;
  [[nodiscard]] virtual bool CancelSession(std::uint64_t number) = 0;

 protected:
  ~CensusPart() = default;
};

enum class Ended : std::uint8_t { kDone, kNoSuchSession, kNoAnswer };

class Census {
 public:
  // How long a worker may take to answer those who wait.
  static constexpr milliseconds kPatience{2'000};

  explicit Census(std::vector<CensusPart*> workers, milliseconds patience = kPatience)
      : workers_(std::move(workers)), patience_(patience) {}

  // These wait for the answer, for `patience` at most; not for a worker's own thread, which would wait for itself.
  [[nodiscard]] SessionReport Sessions(const SessionQuestion& question) const;
  [[nodiscard]] ClientReport Clients() const;
  [[nodiscard]] PoolReport Pools() const;
  [[nodiscard]] ConnectionReport Connections() const;
  // By its number, in whichever worker it is. kNoAnswer, or there is none: nothing; `answered` says which.
  [[nodiscard]] std::optional<SessionDetail> Session(SessionId id, bool& answered) const;
  // It ends as by pg_terminate_backend(): the client is told 57P01, what it runs is cancelled.
  [[nodiscard]] Ended End(SessionId id) const;
  // As a cancel request of its client's. kDone also if it runs nothing.
  [[nodiscard]] Ended Cancel(SessionId id) const;

  // These return at once. `done` is called once all workers have answered, in the thread of the last of them; never, if one does
  // not answer.
  void AskSessions(const SessionQuestion& question, std::function<void(SessionReport)> done) const;
  void AskClients(std::function<void(ClientReport)> done) const;
  void AskPools(std::function<void(PoolReport)> done) const;
  void AskConnections(std::function<void(ConnectionReport)> done) const;
  void AskTraffic(std::function<void(TrafficReport)> done) const;
  void AskDigests(std::function<void(DigestReport)> done) const;
  void AskFence(std::function<void(FenceReport)> done) const;
  // The session of that number, in whichever worker.
  void AskToEnd(std::uint64_t number, std::function<void(Ended)> done) const;
  // All clients of `database`, or of all databases if it is empty, but for consoles. `done` is told how many they were.
  void AskToEndAll(const std::string& database, std::function<void(std::size_t)> done) const;

 private:
  std::vector<CensusPart*> workers_;
  milliseconds patience_;
};

}  // namespace waypost
