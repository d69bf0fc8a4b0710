// One thread with its loop, its listener, its sessions and its server connections. Everything in it belongs to that
// thread; what comes from others comes through Post().
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/session/batch.h"
#include "core/config/config.h"
#include "core/observe/digests.h"
#include "core/fence/probe.h"
#include "core/server/login_refusals.h"
#include "core/server/pool_set.h"
#include "core/server/pool_host.h"
#include "core/session/self_check.h"
#include "core/session/session.h"
#include "core/env/shared.h"
#include "core/session/sql_reader.h"
#include "core/server/startup_check.h"
#include "core/net/loop.h"
#include "core/net/tcp.h"
#include "core/net/tcp_listener.h"
#include "metrics/worker_metrics.h"
#include "parser/catalog/sql_cache.h"
#include "routing/prepared.h"
#include "routing/settings.h"

namespace waypost {

class CancelRequest;

class Worker final : public PoolHost {
 public:
  Worker(std::size_t index, Shared& shared, ConfigSnapshot config, View view);
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

  // Worker thread only, from here on.
  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] TimePoint Now() const override { return loop_.Now(); }
  [[nodiscard]] std::uint32_t Random() override { return static_cast<std::uint32_t>(random_()); }
  Loop& loop() { return loop_; }
  Shared& shared() override { return shared_; }
  WorkerMetrics& metrics() override { return metrics_; }  // read by any thread
  const Config& config() const override { return *config_; }
  const ClusterView& view() const override { return *view_; }
  PoolSet& pools() { return pools_; }
  StartupChecks& startup_checks() { return startup_checks_; }
  SettingTable& settings() { return settings_; }
  StatementTable& statements() { return statements_; }
  // Stands for a text that was too long to read: not understood.
  const SqlRef& unread_sql() const { return unread_sql_; }
  SqlCache& cache() { return cache_; }
  ContextTable& contexts() { return contexts_; }
  Digests& digests() { return digests_; }
  SelfChecks& self_checks() { return self_checks_; }
  // Buffers for one call; not for use across calls.
  std::string& scratch_in() { return scratch_in_; }
  std::string& scratch_out() { return scratch_out_; }

  // nullptr: not in the configuration (any more).
  [[nodiscard]] const ServerConfig* FindServer(ServerId id) const override {
    return id < servers_.size() ? servers_[id].get() : nullptr;
  }
  [[nodiscard]] std::shared_ptr<const ServerConfig> ServerFor(ServerId id) const {
    return id < servers_.size() ? servers_[id] : nullptr;
  }
  // Never the same twice, never 0.
  [[nodiscard]] std::uint64_t NewSequenceToken() { return ++sequence_tokens_; }
  [[nodiscard]] Load load() {
    return {outstanding_, turn_++, &fence_.fence(),
            TimePoint(Duration(shared_.last_write.load(std::memory_order_relaxed)))};
  }
  // The same, for the statements of `user` in `database`.
  [[nodiscard]] Load LoadFor(std::string_view database, std::string_view user) {
    auto its = load();
    its.refused = refusals_.Of(database, user, Now());
    return its;
  }
  LoginRefusals& refusals() override { return refusals_; }
  // A statement that may write is sent or was answered.
  void NoteWrite() { shared_.last_write.store(Now().time_since_epoch().count(), std::memory_order_relaxed); }
  FenceProbe& fence() { return fence_; }
  void AddOutstanding(ServerId id, int change);

  // Changes whenever any catalogue does; never 0.
  [[nodiscard]] std::uint64_t catalog_generation() const { return catalog_generation_; }
  struct CatalogEntry {
    std::shared_ptr<const Catalog> catalog;
    std::uint64_t version = 0;
    std::uint64_t as_of = 0;  // by the CatalogClock
  };
  // nullptr if it is not loaded yet. Valid for this generation.
  [[nodiscard]] const CatalogEntry* CatalogOf(const std::string& database) const;
  // True if the catalogue of `database` is there; else it is asked for, and `login` is told when it comes.
  [[nodiscard]] bool WaitForCatalog(const std::string& database, ClientLogin& login);
  void ForgetLogin(ClientLogin& login);

  [[nodiscard]] std::unique_ptr<Batch> TakeBatch();
  void GiveBatch(std::unique_ptr<Batch> batch);

  // A client has come in, and has not proved who he is.
  using LoginPlace = std::list<ClientLogin*>::iterator;
  [[nodiscard]] LoginPlace LoginBegins(ClientLogin& login) { return logins_.insert(logins_.end(), &login); }
  void LoginEnds(LoginPlace place) { logins_.erase(place); }
  // A client has proved to be `user`: false if there are too many. Given back when its session ends.
  [[nodiscard]] bool TakeClient(const std::string& user);
  // Freed when nothing of it can be on the stack any more.
  void Bury(Session& session, std::uint32_t slot);
  void Bury(std::unique_ptr<PooledConnection> connection) override;
  void Bury(std::unique_ptr<ClientLogin> login);

  // Cancel keys name their worker: pid is (worker, slot).
  [[nodiscard]] std::uint32_t CancelPid(std::uint32_t slot) const;
  void RouteCancel(std::uint32_t pid, std::string secret);
  void SendCancel(ServerConnection& connection);
  void CancelDone(CancelRequest& request);

  // Calls GoOn() of the session in `slot` in the next turn of the loop: others come first.
  void NextTurn(std::uint32_t slot) {
    resting_.push_back(slot);
    next_turn_.Send();
  }
  // The session in `slot` has a text to be analysed off the loop: it is asked for it when those before are done.
  void NextRead(std::uint32_t slot) {
    to_read_.push_back(slot);
    next_turn_.Send();
  }
  // The session in `slot` has a batch whose end has not come: it hears if nothing more comes for a few milliseconds.
  void AwaitMore(std::uint32_t slot);
  // The session in `slot` has a deadline to keep.
  void Watch(std::uint32_t slot) { watched_.push_back(slot); }
  // What the rules in force made of a text is of this generation; never 0.
  [[nodiscard]] std::uint64_t rules_generation() const { return rules_generation_; }
  // The label of a rule in the metrics.
  [[nodiscard]] std::size_t RuleId(std::size_t index) const {
    return index < rule_ids_.size() ? rule_ids_[index] : kMaxRuleNames;
  }

  // For the pools.
  [[nodiscard]] std::unique_ptr<PooledConnection> OpenFor(Pool& pool) override;
  [[nodiscard]] std::optional<TimePoint> OldestStartup(ServerId server) const override {
    return startup_checks_.OldestWaiter(server);
  }
  void PlaceFreeForStartup(ServerId server) override { startup_checks_.PlaceFree(server); }
  void AskOthersToYield(ServerId server) override;
  void TellPlaceFree(std::size_t worker, ServerId server) override;
  // A session of this worker wants databases to itself: see DatabaseClaims.
  void DesertDatabases();
  // How its own connections log in: to the configured database, or, while that is claimed, to another.
  [[nodiscard]] MonitorConfig monitor() const;

 private:
  void Accept(std::unique_ptr<TcpStream> stream, std::string_view listener);
  void MakeRoomForLogin();
  void LeaveDeserted();
  void Tick();
  void RunPosted();
  void EmptyGrave();
  void GoOnWithResting();
  void ReadNext();
  void OnRead(SqlRef sql);
  void FindServers();
  void FindRules();
  void CheckDeadlines(TimePoint now);
  void CheckUnended();
  void OnView(View view);
  void Depose(ServerId server);
  void CancelHere(std::uint32_t pid, std::string_view secret);
  void PublishGauges();

  const std::size_t index_;
  Shared& shared_;
  ConfigSnapshot config_;
  View view_;
  std::optional<ServerId> last_primary_;  // also while there is none
  Loop loop_;
  WorkerMetrics metrics_;
  std::mt19937 random_;

  std::mutex mailbox_mutex_;
  std::vector<std::function<void()>> mailbox_;
  Wakeup mail_;
  Wakeup grave_wakeup_;
  Wakeup next_turn_;
  Timer tick_;
  TimePoint next_tick_{};
  unsigned ticks_ = 0;

  std::vector<std::shared_ptr<const ServerConfig>> servers_;  // by ServerId
  std::vector<std::uint32_t> outstanding_;
  LoginRefusals refusals_;
  std::vector<std::size_t> rule_ids_;  // by index of a rule
  std::uint64_t rules_generation_ = 0;
  std::uint32_t turn_ = 0;
  std::uint64_t sequence_tokens_ = 0;
  std::map<std::string, CatalogEntry> catalogs_;
  std::uint64_t catalog_generation_ = 1;
  std::list<ClientLogin*> logins_;  // not proved yet, the oldest first
  std::vector<std::pair<std::string, ClientLogin*>> waiting_logins_;  // for a catalogue

  SettingTable settings_;
  StatementTable statements_;
  SqlRef unread_sql_;
  SqlCache cache_;
  ContextTable contexts_;
  Digests digests_;
  SelfChecks self_checks_;
  std::string scratch_in_, scratch_out_;
  std::vector<std::unique_ptr<Batch>> spare_batches_;

  StartupChecks startup_checks_;
  PoolSet pools_;
  FenceProbe fence_;
  struct Slot {
    std::unique_ptr<Session> session;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> watched_, looked_at_;  // slots
  std::vector<std::uint32_t> resting_;              // slots, of sessions that have more to look at
  std::deque<std::uint32_t> to_read_;               // slots, of sessions that wait for the reader
  bool reads_ = false;                              // the reader is at work,
  Session* read_for_ = nullptr;                     // for this one; null: it is gone
  Lexing read_lexing_;
  std::vector<std::uint32_t> unended_;              // slots, of batches whose end is awaited
  FineTimer unended_timer_;
  std::vector<std::unique_ptr<Session>> dead_sessions_;
  std::vector<std::unique_ptr<PooledConnection>> dead_connections_;
  std::vector<std::unique_ptr<ClientLogin>> dead_logins_;
  std::vector<std::unique_ptr<CancelRequest>> cancels_;
  std::deque<std::string> listener_names_;  // sessions refer to them
  std::vector<std::unique_ptr<TcpListener>> listeners_;
  std::size_t clients_ = 0;
  bool draining_ = false;
  std::atomic<bool> drained_{false};
  std::thread thread_;
  SqlReader reader_;
};

}  // namespace waypost
