// The server connections of one worker: a pool per (server, database, user), all under the server's global budget.
// Worker thread only. Who is served next is decided by routing/pool_policy.h.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/config.h"
#include "core/pool_host.h"
#include "core/pooled_connection.h"
#include "core/server_login.h"
#include "metrics/labels.h"
#include "routing/cluster_view.h"

namespace waypost {

class PoolSet;
class ServerBudget;

// Who waits for a server connection: a session.
class Waiter {
 public:
  // It is the waiter's now, until Pool::Release or Pool::Discard.
  virtual void OnServerConnection(PooledConnection& connection) noexcept = 0;
  // There will be none: `error` is a whole ErrorResponse.
  virtual void OnNoServerConnection(std::string_view sqlstate, const std::string& error) noexcept = 0;
  // The server cannot be reached now; decide again where to go.
  virtual void OnServerUnreachable() noexcept = 0;

  TimePoint waiting_since{};  // kept while it is sent from one pool to another; {}: does not wait
  TimePoint give_up_at = TimePoint::max();
  std::uint64_t defaults = 0;  // what the DefaultsClock said when its session began

 protected:
  ~Waiter() = default;
};

// All connections of a pool are alike: each begins without settings, and what a session has set is set on it ahead of the
// session's batch. `only_at_start` is what clients asked for that no statement can set (ignore_system_indexes ...).
struct PoolKey {
  ServerId server;
  std::string database, user;
  Parameters only_at_start{};
  auto operator<=>(const PoolKey&) const = default;
};

class Pool {
 public:
  using Key = PoolKey;

  Pool(PoolHost& host, PoolSet& pools, Key key);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A connection at once, or nullptr: then `waiter` is called later, exactly once, unless it calls Forget().
  [[nodiscard]] PooledConnection* Acquire(Waiter& waiter);
  void Forget(Waiter& waiter);

  // The connection is clean: idle, no transaction, nothing due.
  void Release(PooledConnection& connection);
  // The connection is not, or is gone: it is closed.
  void Discard(PooledConnection& connection, DisconnectCause cause);

  // Called by the connection itself.
  void OnReady(PooledConnection& connection);
  void OnLoginFailed(PooledConnection& connection);

  // Tries to open connections for those who wait.
  void Grow();
  // Closes one idle connection; false if there is none.
  bool EvictIdle();
  // Time-outs, ages, servers that are gone.
  void Sweep(TimePoint now);
  void CloseIdle(DisconnectCause cause);
  void FailWaiters(std::string_view sqlstate, const std::string& error);

  [[nodiscard]] const Key& key() const { return key_; }
  [[nodiscard]] std::optional<TimePoint> OldestWaiter() const;
  [[nodiscard]] std::size_t size() const { return connections_.size(); }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  void Open();
  void Serve(PooledConnection& connection);
  void Remove(PooledConnection& connection, DisconnectCause cause);
  void WaitersChanged();
  void SendWaitersAway();

  PoolHost& host_;
  PoolSet& pools_;
  Key key_;
  ServerBudget& budget_;
  std::vector<std::unique_ptr<PooledConnection>> connections_;
  std::vector<PooledConnection*> idle_;  // the one used last at the back
  std::deque<Waiter*> waiters_;
  std::size_t connecting_ = 0;
  unsigned failures_ = 0;          // logins failed in a row
  TimePoint not_before_{};         // no new login before this, after failures
  PoolPolicy policy_;
  friend class PoolSet;
};

// All pools of a worker.
class PoolSet {
 public:
  explicit PoolSet(PoolHost& host) : host_(host) {}
  // Made when first asked for; lives as long as the worker.
  Pool& Get(const PoolKey& key);
  // False if `only_at_start` would be one kind of connections more than are kept apart for `user` in `database`.
  [[nodiscard]] bool MayKeepApart(const std::string& database, const std::string& user, const Parameters& only_at_start) const;
  void Sweep(TimePoint now);
  void OnConfigChanged();
  // A place under the limit of `server` may be free: whoever waits longest tries.
  void PlaceFree(ServerId server);
  // Another worker has nothing left of `server`: give up an idle connection, if nobody here waits.
  void YieldIdle(ServerId server);
  // Tells the other workers since when somebody waits here.
  void PublishOldest(ServerId server);
  bool EvictIdle(ServerId server, const Pool* except);
  [[nodiscard]] std::optional<TimePoint> OldestWaiter(ServerId server, const Pool* except) const;
  [[nodiscard]] auto begin() const { return pools_.begin(); }
  [[nodiscard]] auto end() const { return pools_.end(); }

 private:
  PoolHost& host_;
  std::map<Pool::Key, std::unique_ptr<Pool>> pools_;
};

}  // namespace waypost
