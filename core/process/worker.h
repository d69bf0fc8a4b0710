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
#include "core/server/cancel_request.h"
#include "core/server/login_refusals.h"
#include "core/server/pool_host.h"
#include "core/server/pool_set.h"
#include "core/server/startup_check.h"
#include "core/session/common.h"
#include "core/session/session.h"
#include "core/session/sql_reader.h"

namespace waypost {

class Worker final : public PoolHost, public ServerEvents, public CancelRouter, public SessionHost {
 public:
  // `loop` and `connector` are how it meets the world: by default a loop of its own, and TCP.
  Worker(std::size_t index, Shared& shared, ConfigSnapshot config, View view,
         std::unique_ptr<Loop> loop = std::make_unique<Loop>(), std::unique_ptr<Connector> connector = nullptr);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before Start(): binds the port. The error is for the user.
  [[nodiscard]] Result<bool> Listen();
  void Start();
  // Any thread. `task` runs in the worker's thread, in order.
  void Post(std::function<void()> task);
  // Any thread.
  void SetView(View view);
  void SetConfig(ConfigSnapshot config);
  // `as_of`: what the CatalogClock said before it was read.
  void SetCatalog(const std::string& database, std::shared_ptr<const Catalog> catalog, std::uint64_t as_of);
  // Nothing of what was learnt of the database of that name holds any more.
  void ForgetDatabase(const std::string& database);
  // Stops listening, lets what is under way end, closes idle clients; `at_once`: all of them.
  void Drain(bool at_once);
  // True once no client is left after Drain().
  [[nodiscard]] bool drained() const { return drained_.load(std::memory_order_acquire); }
  void Stop();
  void Join();
  WorkerMetrics& metrics() override { return env_.metrics(); }  // read by any thread

  // Worker thread only, from here on.
  // From now on it looks after time-outs; Start() does this too.
  void StartTicking();
  // A client has come in by `listener`; returns whom its stream reports to. nullptr: there are too many, and `stream` is closed.
  [[nodiscard]] StreamUser* Accept(std::unique_ptr<Stream> stream, std::string peer, std::string_view listener);
  [[nodiscard]] DigestReport ReportDigests() const { return common_.digests.Report(); }
  [[nodiscard]] FenceReport ReportFence() const;

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
  void Watch(std::uint32_t slot) override { watched_.push_back(slot); }
  [[nodiscard]] std::uint32_t CancelPid(std::uint32_t slot) const override;
  void DesertDatabases() override;

 private:
  void OnAccepted(std::unique_ptr<TcpStream> stream, std::string_view listener);
  void MakeRoomForLogin();
  void LeaveDeserted();
  void Tick();
  void RunPosted();
  void EmptyGrave();
  void GoOnWithResting();
  void ReadNext();
  void OnRead(SqlRef sql);
  void CheckDeadlines(TimePoint now);
  void CheckUnended();
  void OnView(View next);
  void Depose(ServerId server);
  void CancelHere(std::uint32_t pid, std::string_view secret);
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
  std::deque<std::uint32_t> to_read_;  // slots, of sessions that wait for the reader
  bool reads_ = false;  // the reader is at work,
  Session* read_for_ = nullptr;  // for this one; null: it is gone
  Lexing read_lexing_;
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
