// Pools without sockets and without a clock of their own: a server's limit, workers that share it, connections that log in,
// fail, are lost and are cancelled when the test says so, and clients that wait for them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config/config.h"
#include "core/env/shared.h"
#include "core/server/login_refusals.h"
#include "core/server/pool_set.h"
#include "metrics/worker_metrics.h"
#include "parser/wire/encode.h"

namespace waypost::pool_world {

class World;

class Connection final : public PooledConnection {
 public:
  Connection(World& world, Pool& pool);

  [[nodiscard]] bool Clean() const override { return ready_ && !broken_ && !dirty && cancels_ == 0; }
  [[nodiscard]] const SettingSet* settings_left() const override { return settings; }
  [[nodiscard]] LoginFailure WhyLoginFailed() const override { return failure_; }
  void GiveUp(const std::string& why) noexcept override { ready_ ? Lose() : LoseLogin(why); }

  void LogIn();
  void Refuse(std::string_view sqlstate);
  void LoseLogin(const std::string& why);
  // As ServerConnection::OnClosed(): whoever leases it has let go of it before.
  void Lose();
  void CancelStarts() { ++cancels_; }
  // As ServerConnection::CancelEnded().
  void CancelEnds();

  [[nodiscard]] Pool& pool() { return pool_; }
  bool dirty = false;
  const SettingSet* settings = nullptr;  // as its last user left them
  bool buried = false;
  TimePoint due{};  // for the model: when its login or its cancel ends

 private:
  World& world_;
  Pool& pool_;
  LoginFailure failure_;
};

// A worker as its pools see it. What other workers tell it waits in `mail` until the test delivers it.
class Host final : public PoolHost {
 public:
  Host(World& world, std::size_t index) : world_(world), index_(index), pools(*this) {}
  ~Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] std::size_t index() const override { return index_; }
  [[nodiscard]] TimePoint Now() const override;
  [[nodiscard]] std::uint32_t Random() override { return 1U << 31U; }
  Shared& shared() override;
  WorkerMetrics& metrics() override { return metrics_; }
  LoginRefusals& refusals() override { return refusals_; }
  [[nodiscard]] const Config& config() const override;
  [[nodiscard]] const ClusterView& view() const override;
  [[nodiscard]] const ServerConfig* FindServer(ServerId id) const override;
  [[nodiscard]] std::unique_ptr<PooledConnection> OpenFor(Pool& pool) override;
  void Bury(std::unique_ptr<PooledConnection> connection) override;
  [[nodiscard]] std::optional<TimePoint> OldestStartup(ServerId server) const override {
    return server == 0 ? startup_since : std::nullopt;
  }
  void PlaceFreeForStartup(ServerId server) override;
  void AskOthersToYield(ServerId server) override;
  void TellPlaceFree(std::size_t worker, ServerId server) override;

  // Delivers what has come by now.
  void ReadMail();

 private:
  World& world_;
  const std::size_t index_;
  WorkerMetrics metrics_;
  LoginRefusals refusals_;

 public:
  PoolSet pools;
  std::vector<std::unique_ptr<PooledConnection>> grave;
  std::vector<Connection*> logins;  // under way, the first opened first
  std::deque<std::function<void()>> mail;
  std::optional<TimePoint> startup_since;  // a start-up check waits for a place on server 0
  unsigned startups = 0;                   // places that start-up checks have
};

class World {
 public:
  explicit World(std::size_t workers = 1, unsigned max_connections = 4) {
    AddServer("a", max_connections);
    view.primary = ServerId{0};
    shared.probe_now = [this] { ++probes; };
    for (std::size_t i = 0; i < workers; ++i) hosts.push_back(std::make_unique<Host>(*this, i));
  }
  void AddServer(const std::string& name, unsigned max_connections) {
    ServerConfig server;
    server.name = name;
    server.max_connections = max_connections;
    config.servers.push_back(server);
    ServerView seen;
    seen.name = name;
    view.servers.push_back(seen);
  }

  void BoundPools(const std::string& user, unsigned max_size) {
    auto& added = config.users.emplace_back();
    added.name = user;
    added.overrides.max_size = max_size;
  }

  // Time goes on, and every worker ticks.
  void Pass(milliseconds time) {
    now += time;
    for (auto& host : hosts) host->pools.Sweep(now);
  }
  // Delivers all mail, and what it causes.
  void Settle() {
    for (bool any = true; any;) {
      any = false;
      for (auto& host : hosts) {
        any = any || !host->mail.empty();
        host->ReadMail();
      }
    }
  }
  Pool& PoolOf(const std::string& user, std::size_t worker = 0, const std::string& database = "d") {
    return hosts[worker]->pools.Get({ServerId{0}, database, user});
  }
  // The first login under way succeeds.
  Connection& LogIn(std::size_t worker = 0) {
    auto* connection = hosts[worker]->logins.front();
    connection->LogIn();
    return *connection;
  }
  ServerBudget& budget(ServerId server = 0) { return shared.budgets[server]; }

  Shared shared;
  Config config;
  ClusterView view;
  TimePoint now{seconds(1000)};
  std::vector<std::unique_ptr<Host>> hosts;
  std::uint64_t opened = 0, closed = 0, probes = 0;
  std::function<void(Pool&)> on_open = [](Pool&) {};  // before the pool has it
};

// A session as a pool sees it.
class Client final : public Waiter {
 public:
  explicit Client(World& world) : world_(world) { defaults = world.shared.defaults_clock.now(); }
  ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Acquire(Pool& pool) {
    waits_in = &pool;
    if (auto* got = pool.Acquire(*this)) OnServerConnection(*got);
  }
  void Forget() {
    std::exchange(waits_in, nullptr)->Forget(*this);
    waiting_since = {};
    give_up_at = TimePoint::max();
  }
  void Release() {
    auto* connection = std::exchange(held, nullptr);
    connection->pool().Release(*connection);
  }
  void Discard(DisconnectCause cause = DisconnectCause::kUnclean) {
    auto* connection = std::exchange(held, nullptr);
    connection->pool().Discard(*connection, cause);
  }

  void OnServerConnection(PooledConnection& connection) noexcept override {
    waits_in = nullptr;
    waited_since = waiting_since;
    waiting_since = {};
    give_up_at = TimePoint::max();
    held = static_cast<Connection*>(&connection);
    found_settings = std::exchange(held->settings, wanted_settings);
    ++served;
    on_served(*this);
  }
  void OnNoServerConnection(std::string_view sqlstate, const std::string&) noexcept override {
    waits_in = nullptr;
    waiting_since = {};
    give_up_at = TimePoint::max();
    refusal = sqlstate;
    on_refused(*this);
  }
  void OnServerUnreachable() noexcept override {
    waits_in = nullptr;  // waiting_since stays: it tries elsewhere
    ++sent_away;
    on_sent_away(*this);
  }

  const SettingSet* found_settings = nullptr;  // on the connection, when it was served last
  [[nodiscard]] bool waits() const { return waits_in != nullptr; }

  Pool* waits_in = nullptr;
  TimePoint waited_since{};  // before it was served; {}: it did not wait
  Connection* held = nullptr;
  int served = 0, sent_away = 0;
  std::string refusal;
  std::function<void(Client&)> on_served = [](Client&) {};
  std::function<void(Client&)> on_refused = [](Client&) {};
  std::function<void(Client&)> on_sent_away = [](Client&) {};

 private:
  World& world_;
};

inline Connection::Connection(World& world, Pool& pool)
    : PooledConnection(world.now, world.shared.defaults_clock.now()), world_(world), pool_(pool) {}

inline void Connection::LogIn() {
  for (auto& host : world_.hosts) std::erase(host->logins, this);
  ready_ = true;
  born = world_.now;
  pool_.OnReady(*this);
}
inline void Connection::Refuse(std::string_view sqlstate) {
  for (auto& host : world_.hosts) std::erase(host->logins, this);
  broken_ = true;
  failure_.sqlstate = sqlstate;
  failure_.server_said_so = true;
  AppendError(failure_.error, {.severity = "FATAL", .sqlstate = sqlstate, .message = "no"});
  pool_.OnLoginFailed(*this);
}
inline void Connection::LoseLogin(const std::string& why) {
  for (auto& host : world_.hosts) std::erase(host->logins, this);
  broken_ = true;
  failure_.lost = why;
  pool_.OnLoginFailed(*this);
}
inline void Connection::Lose() {
  broken_ = true;
  pool_.Discard(*this, DisconnectCause::kIoError);
}
inline void Connection::CancelEnds() {
  if (--cancels_ > 0 || after_cancel == AfterCancel::kNothing) return;
  if (std::exchange(after_cancel, AfterCancel::kNothing) == AfterCancel::kRelease) pool_.Release(*this);
  else pool_.Discard(*this, DisconnectCause::kClientGone);
}

inline TimePoint Host::Now() const { return world_.now; }
inline Shared& Host::shared() { return world_.shared; }
inline const Config& Host::config() const { return world_.config; }
inline const ClusterView& Host::view() const { return world_.view; }
inline const ServerConfig* Host::FindServer(ServerId id) const {
  return id < world_.config.servers.size() ? &world_.config.servers[id] : nullptr;
}
inline std::unique_ptr<PooledConnection> Host::OpenFor(Pool& pool) {
  world_.on_open(pool);
  ++world_.opened;
  auto connection = std::make_unique<Connection>(world_, pool);
  logins.push_back(connection.get());
  return connection;
}
inline void Host::Bury(std::unique_ptr<PooledConnection> connection) {
  ++world_.closed;
  auto& buried = static_cast<Connection&>(*connection);
  buried.buried = true;
  std::erase(logins, &buried);
  grave.push_back(std::move(connection));
}
inline void Host::PlaceFreeForStartup(ServerId server) {
  if (!startup_since) return;
  auto& budget = world_.shared.budgets[server];
  const auto limit = FindServer(server)->max_connections;
  if (!budget.Take(limit) && !(pools.EvictIdle(server) && budget.Take(limit))) return AskOthersToYield(server);
  startup_since.reset();
  ++startups;
  pools.PublishOldest(server);
}
inline void Host::AskOthersToYield(ServerId server) {
  for (auto& other : world_.hosts)
    if (other.get() != this) other->mail.emplace_back([to = other.get(), server] { to->pools.Grow(server); });
}
inline void Host::TellPlaceFree(std::size_t worker, ServerId server) {
  auto* to = world_.hosts[worker].get();
  to->mail.emplace_back([this, to, server] {  // as Worker does
    to->pools.Grow(server);
    if (world_.shared.budgets[server].lacking() > 0) to->AskOthersToYield(server);
  });
}
inline void Host::ReadMail() {
  auto come = std::exchange(mail, {});
  for (auto& letter : come) letter();
}

}  // namespace waypost::pool_world
