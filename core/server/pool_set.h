// All pools of a worker, and which waiter gets the next place under a server's limit. Worker thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/server/pool.h"

namespace waypost {

class PoolSet {
 public:
  explicit PoolSet(PoolHost& host) : host_(host) {}
  // Made when first asked for; lives as long as the worker.
  Pool& Get(const PoolKey& key);
  // False if `only_at_start` would be one kind of connections more than are kept apart for `user` in `database`.
  [[nodiscard]] bool MayKeepApart(const std::string& database, const std::string& user, const Parameters& only_at_start) const;
  void Sweep(TimePoint now);
  void OnConfigChanged();
  // Opens connections to `server` for those that lack a place, the longest waiter first, as long as there are places. Call it
  // after everything that may leave a place free or a waiter without one. Idle ones make room, also for other workers.
  // If it is the turn of another worker, that one is told.
  void Grow(ServerId server);
  // The same; what is still lacking is asked of the other workers: when somebody comes, when a connection has gone, when
  // another worker has told of a place, and from time to time.
  void SeekPlaces(ServerId server);
  // Tells the other workers since when somebody lacks a place here.
  void PublishOldest(ServerId server);
  // Closes the connection that has been idle longest; false if there is none.
  bool EvictIdle(ServerId server);
  // Since when somebody has lacked a place on `server`: over the start-up checks and all pools but `except`, here and in the
  // other workers.
  [[nodiscard]] std::optional<TimePoint> LacksPlaceSince(ServerId server, const Pool* except) const;
  // Closes those that are idle in one database, on whatever server.
  void CloseIdle(const std::string& database);
  void CloseIdle();  // of all
  // Those of one database and one user ("": of all) are closed as soon as no session has them.
  void Reconnect(const std::string& database, const std::string& user);
  // All connections to that server are lost from now on, leased or not; returns how many there were.
  std::size_t GiveUp(ServerId server, const std::string& why);
  [[nodiscard]] auto begin() const { return pools_.begin(); }
  [[nodiscard]] auto end() const { return pools_.end(); }
  // The same in the order in which they were made: a place stays the same pool's.
  [[nodiscard]] std::size_t count() const { return in_order_.size(); }
  [[nodiscard]] const Pool& At(std::size_t place) const { return *in_order_[place]; }

 private:
  friend class Pool;
  [[nodiscard]] std::optional<TimePoint> LacksHereSince(ServerId server, const Pool* except) const;
  [[nodiscard]] Pool* FirstLacking(ServerId server);
  [[nodiscard]] std::vector<Pool*>& WaitedFor(ServerId server);

  PoolHost& host_;
  std::map<Pool::Key, std::unique_ptr<Pool>> pools_;
  std::vector<const Pool*> in_order_;
  std::vector<std::vector<Pool*>> waited_for_;  // by ServerId: the pools with waiters
};

}  // namespace waypost
