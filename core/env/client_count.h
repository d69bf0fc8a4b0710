// Clients that are logged in, counted in all and by what each is limited by. Thread-safe; met at login and at the end of a session
// alone.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace waypost {

// By what a client counts. What is empty it does not count by; without a user it does not count at all.
struct CountedClient {
  std::string user, database, address;

  [[nodiscard]] bool counted() const { return !user.empty(); }
  bool operator==(const CountedClient&) const = default;
};

// 0: none, but for `all`.
struct ClientLimits {
  unsigned all = 0, user = 0, database = 0, address = 0;
};

enum class ClientLimit : std::uint8_t { kNone, kAll, kUser, kDatabase, kAddress };

class ClientCount {
 public:
  // One more client, unless a limit is reached: that one.
  [[nodiscard]] ClientLimit Take(const CountedClient& who, const ClientLimits& limits) {
    const std::scoped_lock lock(mutex_);
    if (total_ >= limits.all) return ClientLimit::kAll;
    if (IsReached(by_user_, who.user, limits.user)) return ClientLimit::kUser;
    if (IsReached(by_database_, who.database, limits.database)) return ClientLimit::kDatabase;
    if (IsReached(by_address_, who.address, limits.address)) return ClientLimit::kAddress;
    Add(who);
    return ClientLimit::kNone;
  }
  // One who was counted by another process comes, whatever the limits.
  void Admit(const CountedClient& who) {
    const std::scoped_lock lock(mutex_);
    Add(who);
  }
  void Give(const CountedClient& who) {
    const std::scoped_lock lock(mutex_);
    --total_;
    Less(by_user_, who.user);
    Less(by_database_, who.database);
    Less(by_address_, who.address);
  }

 private:
  using Counts = std::unordered_map<std::string, unsigned>;
  static bool IsReached(const Counts& counts, const std::string& key, unsigned limit) {
    if (limit == 0 || key.empty()) return false;
    const auto found = counts.find(key);
    return found != counts.end() && found->second >= limit;
  }
  void Add(const CountedClient& who) {
    ++total_;
    More(by_user_, who.user);
    More(by_database_, who.database);
    More(by_address_, who.address);
  }
  static void More(Counts& counts, const std::string& key) {
    if (!key.empty()) ++counts[key];
  }
  static void Less(Counts& counts, const std::string& key) {
    const auto found = counts.find(key);
    if (found != counts.end() && --found->second == 0) counts.erase(found);
  }

  std::mutex mutex_;
  unsigned total_ = 0;
  Counts by_user_, by_database_, by_address_;
};

}  // namespace waypost
