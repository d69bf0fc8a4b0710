// One thread with its loop, its listener, its sessions and its server connections. Everything in it belongs to that
// thread; what comes from others comes through Post().
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/config/config.h"
#include "core/env/env.h"
#include "core/fence/probe.h"
#include "core/net/connector.h"
#include "core/net/loop.h"
#include "core/net/tcp_listener.h"
#include "core/net/turn_clock.h"
#include "core/observe/census.h"
#include "core/server/cancel_request.h"
#include "core/server/login_refusals.h"
#include "core/server/pool_host.h"
#include "core/server/pool_set.h"
#include "core/server/startup_check.h"
#include "core/session/common.h"
#include "core/session/session.h"
#include "core/session/sql_reader.h"

namespace waypost {

class Worker final : public PoolHost, public ServerEvents, public CancelRouter, public SessionHost, public CensusPart {
 public:
  // `loop` and `connector` are how it meets the world: by default a loop of its own, and TCP.
  Worker(std::size_t index, Shared& shared, ConfigSnapshot config, View view,
         std::unique_ptr<Loop> loop = std::make_unique<Loop>(), std::unique_ptr<Connector> connector = nullptr);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before Start(): takes clients from `sockets`, each with the name of its listener, in turns with the other workers. The error is
  // for the user.
  [[nodiscard]] Result<bool> ListenOn(const std::vector<NamedSocket>& sockets);
  void Start();
  // Any thread. `task` runs in the worker's thread, in order.
  void Post(std::function<void()> task) override;
  // Any thread.
  void SetView(View view);
  void SetConfig(ConfigSnapshot config);
  // Any thread. All connections to `server` are lost, whoever has them: the text says why.
  void GiveUpServer(ServerId server, std::string why);
  // Any thread. Statements that are held try again.
  void WakeHeld();
  // Any thread.
  void ResetDigests();
  // `as_of`: what the CatalogClock said before it was read.
  void SetCatalog(const std::string& database, std::shared_ptr<const Catalog> catalog, std::uint64_t as_of);
  // Nothing of what was learnt of the database of that name holds any more.
  void ForgetDatabase(const std::string& database);
  // Stops listening, lets what is under way end, closes idle clients; `at_once`: all of them.
  void Drain(bool at_once);
  // Stops listening, and gives each session to `hand` as soon as nothing of it is under way, with its client's socket. Those that
  // cannot go stay, until Drain().
  using HandOn = std::function<void(SessionRecord record, int fd)>;
  void HandOver(HandOn hand);
  // Of its loop, lately: see TurnClock. Any thread.
  [[nodiscard]] Duration LongestTurn() const { return turns_.Longest(); }
  // True once no client is left after Drain() or HandOver().
  [[nodiscard]] bool drained() const { return drained_.load(std::memory_order_acquire); }
  void Stop();
  void Join();
  WorkerMetrics& metrics() override { return env_.metrics(); }  // read by any thread

  // Worker thread only, from here on.
  // From now on it looks after time-outs; Start() does this too.
  void StartTicking();
  // A client has come in by `listener`; returns whom its stream reports to. nullptr: there are too many, and `stream` is closed.
  [[nodiscard]] StreamUser* Accept(std::unique_ptr<Stream> stream, std::string peer, std::string_view listener);
  // A session goes on here that another worker had. Closes it if it cannot.
  void Receive(SessionRecord record, std::unique_ptr<Stream> stream);
  // The same from any thread: the client's socket is `fd`, the worker's from now on.
  void ReceiveSoon(SessionRecord record, int fd);
  [[nodiscard]] DigestReport ReportDigests() const override { return common_.digests.Report(); }
  [[nodiscard]] FenceReport ReportFence() const override;
  [[nodiscard]] TrafficReport ReportTraffic() const override { return common_.traffic.Report(); }
  // Where statements are told of sessions that somebody follows; before it runs.
  void TellFollowed(FollowedSessions& followed) { common_.followed = &followed; }
  // Server connections of `database` ("": of all) are closed as soon as no session holds them.
  void Reconnect(const std::string& database) { pools_.Reconnect(database, ""); }
  // Any thread. The same for all connections of `user`, of whom the servers now say something else; its start-ups are tried anew.
  void Outdate(const std::string& user);

  // PoolHost
  [[nodiscard]] std::size_t index() const override { return env_.index(); }
  [[nodiscard]] TimePoint Now() const override { return env_.Now(); }
  [[nodiscard]] std::uint32_t Random() override { return env_.Random(); }
  Shared& shared() override { return env_.shared(); }
  LoginRefusals& refusals() override { return refusals_; }
  const Config& config() const override { return env_.config(); }
  const ClusterView& view() const override { return env_.view(); }
  [[nodiscard]] const ServerConfig* FindServer(ServerId id) const override { return env_.FindServer(id); }
  [[nodiscard]] std::unique_ptr<PooledConnection> OpenFor(Pool& pool) override;
  void Bury(std::unique_ptr<PooledConnection> connection) override;
  [[nodiscard]] std::optional<TimePoint> OldestStartup(ServerId server) const override {
    return startup_checks_.OldestWaiter(server);
  }
  void PlaceFreeForStartup(ServerId server) override { startup_checks_.PlaceFree(server); }
  void AskOthersToYield(ServerId server) override;
  void TellPlaceFree(std::size_t worker, ServerId server) override;
  // ServerEvents
  void OnServerLoggedIn(ServerId server) noexcept override { fence_.OnServerConnection(server); }
  void OnServerReloaded() noexcept override { startup_checks_.Clear(); }
  // CancelRouter
  void RouteCancel(std::uint32_t pid, std::string secret) override;
  // SessionHost
  void Bury(Session& session, std::uint32_t slot) override;
  void Bury(std::unique_ptr<ClientLogin> login) override;
  void NextTurn(std::uint32_t slot) override {
    resting_.push_back(slot);
    next_turn_.Send();
  }
  void NextRead(std::uint32_t slot) override {
    to_read_.push_back(slot);
    next_turn_.Send();
  }
  void AwaitMore(std::uint32_t slot) override;
  void MayGo(std::uint32_t slot) override {
    going_.push_back(slot);
    next_turn_.Send();
  }
  void Watch(std::uint32_t slot) override { watched_.push_back(slot); }
  [[nodiscard]] std::uint32_t CancelPid(std::uint32_t slot) const override;
  void DesertDatabases() override;
  // CensusPart; in worker_census.cc
  NextPlace ListSessions(std::size_t from, const SessionQuestion& question, SessionReport& into) override;
  NextPlace CountClients(std::size_t from, ClientReport& into) override;
  NextPlace ListPools(std::size_t from, PoolReport& into) override;
  NextPlace ListConnections(std::size_t from, ConnectionReport& into) override;
  [[nodiscard]] std::optional<SessionDetail> DescribeSession(std::uint64_t number) override;
  [[nodiscard]] bool EndSession(std::uint64_t number) override;
  NextPlace EndClientsOf(std::size_t from, const std::string& database, std::size_t& ended) override;
  [[nodiscard]] bool CancelSession(std::uint64_t number) override;

 private:
  template <class Look>
  NextPlace LookAtSessions(std::size_t from, Look look);
  template <class Look>
  NextPlace LookAtPools(std::size_t from, Look look);
  [[nodiscard]] Session* FindSession(std::uint64_t number);
  void OnAccepted(std::unique_ptr<TcpStream> stream, const std::string& listener);
  void Begin(std::unique_ptr<Stream> stream, std::string peer, const std::string& listener);
  [[nodiscard]] std::optional<std::uint32_t> TakeSlot();
  [[nodiscard]] const std::string& ListenerNamed(const std::string& name);
  void ClientGone();
  void TakeTurns();
  [[nodiscard]] Permille BusyLately(TimePoint now);
  [[nodiscard]] std::size_t ActiveSince(TimePoint since) const;
  void SendAway(std::uint32_t slot);
  void HandAll();
  void Hand(Session& session);
  void LogThoseLeft();
  void MakeRoomForLogin();
  void LeaveDeserted();
  void Tick();
  void RunPosted();
  void EmptyGrave();
  void GoOnWithResting();
  void ReadNext();
  void OnRead(ReadText read);
  void CheckDeadlines(TimePoint now);
  void CheckUnended();
  void OnView(View next);
  void OnPrimaryChanged();
  void Depose(ServerId server);
  void CancelHere(std::uint32_t slot, std::uint32_t pid, std::string_view secret);
  void PublishGauges();

  Shared& shared_;
  std::unique_ptr<Loop> own_loop_;
  Loop& loop_;
  std::unique_ptr<Connector> connector_;
  Env env_;
  std::optional<ServerId> last_primary_;  // also while there is none

  std::mutex mailbox_mutex_;
  std::vector<std::function<void()>> mailbox_;
  Wakeup mail_;
  Wakeup grave_wakeup_;
  Wakeup next_turn_;
  TurnClock turns_;
  Timer tick_;
  TimePoint next_tick_{};
  unsigned ticks_ = 0;

  LoginRefusals refusals_;
  StartupChecks startup_checks_;
  PoolSet pools_;
  FenceProbe fence_;
  CancelRequests cancels_;
  LoginCommon logins_;
  SessionCommon common_;
  struct Slot {
    std::unique_ptr<Session> session;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> watched_, looked_at_;  // slots
  std::vector<std::uint32_t> resting_;  // slots, of sessions that have more to look at
  std::vector<std::uint32_t> going_;  // slots, of sessions that may leave
  HandOn hand_;  // see HandOver(); empty: nobody is handed on
  std::optional<std::size_t> leave_to_;  // that worker; nothing: the least busy
  TimePoint busy_since_{};  // how busy this worker is, is measured since then,
  Duration busy_before_{0};  // when its thread had taken so much CPU time
  std::deque<std::uint32_t> to_read_;  // slots, of sessions that wait for the reader
  bool reads_ = false;  // the reader is at work,
  Session* read_for_ = nullptr;  // for this one; null: it is gone
  std::vector<std::uint32_t> unended_;  // slots, of batches whose end is awaited
  FineTimer unended_timer_;
  std::vector<std::unique_ptr<Session>> dead_sessions_;
  std::vector<std::unique_ptr<PooledConnection>> dead_connections_;
  std::vector<std::unique_ptr<ClientLogin>> dead_logins_;
  std::deque<std::string> listener_names_;  // sessions refer to them
  std::vector<std::unique_ptr<TcpListener>> listeners_;
  std::size_t clients_ = 0;
  bool draining_ = false;
  std::atomic<bool> drained_{false};
  std::thread thread_;
  SqlReader reader_;
};

}  // namespace waypost
