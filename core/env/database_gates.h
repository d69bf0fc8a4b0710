// What the operator has done to single databases: whose statements are held, and which take no new clients. Thread-safe; while
// there are none, to ask costs one load of an atomic.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"

namespace waypost {

class DatabaseGates {
 public:
  static constexpr std::size_t kMaxDatabases = 1000;  // that anything is said of; names come from outside

  struct Gate {
    std::optional<TimePoint> held_until;  // nothing: it is not held
    bool disabled = false;                // it takes no new clients
    [[nodiscard]] bool open() const { return !held_until && !disabled; }
  };

  // Statements of its clients that begin before `until` wait until then, or until LetGo(). False: too many databases have a gate.
  [[nodiscard]] bool Hold(const std::string& database, TimePoint until) {
    const std::scoped_lock lock(mutex_);
    auto* gate = Make(database);
    if (gate == nullptr) return false;
    gate->held_until = until;
    return true;
  }
  // False: it was not held.
  bool LetGo(const std::string& database) {
    const std::scoped_lock lock(mutex_);
    const auto found = gates_.find(database);
    if (found == gates_.end() || !found->second.held_until) return false;
    found->second.held_until.reset();
    Tidy(found);
    return true;
  }
  // False: too many databases have a gate.
  [[nodiscard]] bool SetDisabled(const std::string& database, bool disabled) {
    const std::scoped_lock lock(mutex_);
    if (!disabled && !gates_.contains(database)) return true;
    auto* gate = Make(database);
    if (gate == nullptr) return false;
    gate->disabled = disabled;
    Tidy(gates_.find(database));
    return true;
  }

  [[nodiscard]] bool Held(std::string_view database, TimePoint now) const {
    const auto gate = Of(database);
    return gate.held_until && now < *gate.held_until;
  }
  [[nodiscard]] bool Disabled(std::string_view database) const { return Of(database).disabled; }
  [[nodiscard]] Gate Of(std::string_view database) const {
    if (!any_.load(std::memory_order_acquire)) return {};
    const std::scoped_lock lock(mutex_);
    const auto found = gates_.find(database);
    return found == gates_.end() ? Gate() : found->second;
  }

  using All = std::map<std::string, Gate, std::less<>>;
  // Those that are not as any database is.
  [[nodiscard]] All all() const {
    if (!any_.load(std::memory_order_acquire)) return {};
    const std::scoped_lock lock(mutex_);
    return gates_;
  }
  // Lets go of those whose time has come, and names them.
  [[nodiscard]] std::vector<std::string> LetGoOfDue(TimePoint now) {
    std::vector<std::string> due;
    for (const auto& [database, gate] : all())
      if (gate.held_until && *gate.held_until <= now) due.push_back(database);
    std::erase_if(due, [this](const auto& database) { return !LetGo(database); });
    return due;
  }

 private:
  Gate* Make(const std::string& database) {
    if (!gates_.contains(database) && gates_.size() >= kMaxDatabases) return nullptr;
    any_.store(true, std::memory_order_release);
    return &gates_[database];
  }
  void Tidy(All::iterator gate) {
    if (gate->second.open()) gates_.erase(gate);
    any_.store(!gates_.empty(), std::memory_order_release);
  }

  mutable std::mutex mutex_;
  All gates_;
  std::atomic<bool> any_{false};
};

}  // namespace waypost
