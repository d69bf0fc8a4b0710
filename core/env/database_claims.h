// Databases that a statement wants to itself (DROP DATABASE, CREATE DATABASE ... TEMPLATE): while it runs, each worker gives
// up its idle connections to them as soon as no client is logged in there, and opens none of its own accord. The server,
// which waits some seconds for others to leave, finds the connections that direct clients would have. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace waypost {

class DatabaseClaims {
 public:
  // A client of `database` has logged in, or is gone.
  void ClientCame(const std::string& database);
  void ClientLeft(const std::string& database);

  // A statement of a session in `own` wants `database` to itself; until Yield() with the same.
  void Claim(const std::string& database, const std::string& own);
  void Yield(const std::string& database, const std::string& own);
  [[nodiscard]] bool Claimed(const std::string& database) const;
  // Those claimed by sessions that are our only client there. Costs next to nothing while there are none.
  [[nodiscard]] std::vector<std::string> Deserted() const;

  // True if our own connections to `database` are to go now.
  [[nodiscard]] bool MustLeave(const std::string& database) const;
  // Where a connection goes that may be to any database: to `database` or, while that is claimed, to one that every cluster
  // has.
  [[nodiscard]] std::string InsteadOf(const std::string& database) const;

  // How often a database was dropped, made or renamed: what was learnt of the databases before may be wrong.
  [[nodiscard]] std::uint64_t renewals() const { return renewals_.load(std::memory_order_acquire); }
  void Renewed() { renewals_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  struct Claims {
    unsigned sessions = 0;
    unsigned own = 0;  // of them, those that are clients of the database themselves
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, unsigned> clients_;
  std::map<std::string, Claims> claims_;
  std::atomic<unsigned> claimed_{0};
  std::atomic<std::uint64_t> renewals_{0};
};

}  // namespace waypost
