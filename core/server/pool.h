// The server connections of one worker: a pool per (server, database, user), all under the server's global budget.
// Worker thread only. routing/pool_policy.h decides who is served next.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/config/config.h"
#include "core/server/login.h"
#include "core/server/pool_host.h"
#include "core/server/pooled_connection.h"
#include "metrics/labels.h"
#include "routing/cluster_view.h"
#include "routing/settings.h"

namespace waypost {

class PoolSet;
class ServerBudget;

// One that waits for a server connection: a session.
class Waiter {
 public:
  // The connection is the waiter's now, until Pool::Release or Pool::Discard.
  virtual void OnServerConnection(PooledConnection& connection) noexcept = 0;
  // There will be none: `error` is a whole ErrorResponse.
  virtual void OnNoServerConnection(std::string_view sqlstate, const std::string& error) noexcept = 0;
  // The server cannot be reached now; decide again where to go.
  virtual void OnServerUnreachable() noexcept = 0;

  TimePoint waiting_since{};  // kept while it is sent from one pool to another; {}: does not wait
  TimePoint give_up_at = TimePoint::max();
  std::uint64_t sequence_token = 0;  // see ServerConnection: the connection that has the same is best for it; 0: any
  const SettingSet* wanted_settings = nullptr;  // the connection that has them is best; nullptr: any is as good
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

  // Time-outs, ages, servers that are gone.
  void Sweep(TimePoint now);
  void CloseIdle(DisconnectCause cause);
  // All of them are lost from now on, leased or not.
  void GiveUp(const std::string& why);
  void FailWaiters(std::string_view sqlstate, const std::string& error);

  [[nodiscard]] const Key& key() const { return key_; }
  // Since when the first waiter has waited for whom no login is under way, and who could have a connection if there were a
  // place for it under the server's limit.
  [[nodiscard]] std::optional<TimePoint> LacksPlaceSince() const;
  // How many there are of them.
  [[nodiscard]] std::size_t Lacking() const;
  [[nodiscard]] std::size_t size() const { return connections_.size(); }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }
  // For those who look; see Census.
  [[nodiscard]] std::size_t connecting() const { return connecting_; }
  [[nodiscard]] unsigned max_size() const { return policy_.max_size; }
  [[nodiscard]] const std::vector<std::unique_ptr<PooledConnection>>& connections() const { return connections_; }
  // Since when the first of the waiters has waited.
  [[nodiscard]] std::optional<TimePoint> WaitedSince() const {
    return waiters_.empty() ? std::nullopt : std::optional(waiters_.front()->waiting_since);
  }

 private:
  [[nodiscard]] bool MayOpen() const;
  void Open();
  void GiveBack(PooledConnection& connection);
  [[nodiscard]] std::size_t ChooseIdle(const Waiter& waiter) const;
  [[nodiscard]] std::size_t ChooseLastUsed(const Waiter& waiter) const;
  [[nodiscard]] std::size_t ChooseWaiter(const PooledConnection& connection) const;
  void Serve(PooledConnection& connection);
  void Remove(PooledConnection& connection, DisconnectCause cause);
  void WaitersChanged();
  void SendWaitersAway();
  void FailLate(TimePoint now);
  void EndLateLogins(TimePoint now);
  template <class Tell>
  void TellLeaving(Tell tell);

  PoolHost& host_;
  PoolSet& pools_;
  Key key_;
  ServerBudget& budget_;
  std::vector<std::unique_ptr<PooledConnection>> connections_;
  std::vector<PooledConnection*> idle_;       // the one used last at the back
  std::deque<Waiter*> waiters_;               // the longest waiter first
  std::deque<Waiter*> leaving_;               // they wait no more, and are told so one by one
  std::deque<PooledConnection*> given_back_;  // for the next waiters, one by one
  bool serving_ = false;                      // given_back_ is looked through
  std::size_t connecting_ = 0;
  unsigned failures_ = 0;   // times in a row that logins failed
  TimePoint not_before_{};  // no new login before this, after failures
  PoolPolicy policy_;
  friend class PoolSet;
};

}  // namespace waypost
