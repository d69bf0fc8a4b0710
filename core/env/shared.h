// What the workers share: limits that are global, and who waits longest for them. Thread-safe, lock-free.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/config/config.h"
#include "core/config/credentials.h"
#include "core/env/client_count.h"
#include "core/env/crew.h"
#include "core/env/database_claims.h"
#include "core/env/database_gates.h"
#include "core/env/held_statements.h"
#include "core/env/login_rates.h"
#include "core/env/moved_keys.h"
#include "core/env/pause.h"
#include "core/env/sequence_readers.h"
#include "core/env/tls_in_force.h"
#include "metrics/labels.h"
#include "parser/wire/startup.h"
#include "routing/cluster_view.h"

namespace waypost {

class Worker;
class SpanExporter;
struct ConsoleProcess;

// The connections to one server, over all workers, and since when each worker has lacked a place under the limit, so that
// none starves. Who finds no place has said before that he lacks one, and who gives one back looks afterwards who lacks one:
// in one order for all threads, so that one of the two sees the other.
class ServerBudget {
 public:
  static constexpr std::size_t kMaxWorkers = Crew::kMost;

  ServerBudget() {
    for (auto& since : oldest_) since.store(kNobody, std::memory_order_relaxed);
  }

  // One more connection, if there are fewer than `limit`.
  [[nodiscard]] bool Take(unsigned limit) {
    auto used = used_.load();
    do {
      if (used >= limit) return false;
    } while (!used_.compare_exchange_weak(used, used + 1));
    return true;
  }
  void Give() { used_.fetch_sub(1); }
  [[nodiscard]] unsigned used() const { return used_.load(std::memory_order_relaxed); }
  // Places that nobody has.
  [[nodiscard]] unsigned Free(unsigned limit) const {
    const auto used = used_.load();
    return used < limit ? limit - used : 0;
  }

  // How many waiters of `worker` lack a place, and since when the oldest of them; nothing: nobody there does.
  void SetLacking(std::size_t worker, unsigned count, std::optional<TimePoint> since) {
    oldest_[worker].store(since ? since->time_since_epoch().count() : kNobody);
    const auto before = std::exchange(lacking_of_[worker], count);
    if (count > before) lacking_.fetch_add(count - before);
    if (count < before) lacking_.fetch_sub(before - count);
  }
  // The oldest waiter of all workers but `worker`, and in `who` whose it is.
  [[nodiscard]] std::optional<TimePoint> OldestElsewhere(std::size_t worker, std::size_t& who) const {
    auto oldest = kNobody;
    for (std::size_t i = 0; i < kMaxWorkers; ++i) {
      if (i == worker) continue;
      const auto since = oldest_[i].load();
      if (since >= oldest) continue;
      oldest = since;
      who = i;
    }
    if (oldest == kNobody) return std::nullopt;
    return TimePoint(Duration(oldest));
  }
  // How many waiters of all workers lack one.
  [[nodiscard]] unsigned lacking() const { return lacking_.load(); }

 private:
  static constexpr auto kNobody = std::numeric_limits<Duration::rep>::max();
  std::atomic<unsigned> used_{0}, lacking_{0};
  std::array<std::atomic<Duration::rep>, kMaxWorkers> oldest_;
  std::array<unsigned, kMaxWorkers> lacking_of_{};  // each is its worker's own
};

// Names of rules, each with a number for the metrics that it keeps over reloads. Thread-safe; met at a reload and a scrape.
class RuleNames {
 public:
  [[nodiscard]] std::size_t IdOf(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    for (std::size_t id = 0; id < names_.size(); ++id)
      if (names_[id] == name) return id;
    names_.push_back(name);  // beyond kMaxRuleNames it is not counted
    return names_.size() - 1;
  }
  [[nodiscard]] std::vector<std::string> All() const {
    const std::scoped_lock lock(mutex_);
    auto names = names_;
    names.resize(std::min(names.size(), kMaxRuleNames));
    return names;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> names_;
};

// How often the catalogues of the databases were changed by what passed through here. What was read of a catalogue before
// its last change is not to be trusted.
class CatalogClock {
 public:
  // Of all databases together.
  [[nodiscard]] std::uint64_t now() const { return now_.load(std::memory_order_acquire); }
  // The catalogue of `database` was changed. Before the client hears of it.
  void Tick(const std::string& database) {
    const std::scoped_lock lock(mutex_);
    changed_[database] = now_.load(std::memory_order_relaxed) + 1;
    now_.fetch_add(1, std::memory_order_acq_rel);
  }
  // When it was changed last; 0: never.
  [[nodiscard]] std::uint64_t ChangedAt(const std::string& database) const {
    const std::scoped_lock lock(mutex_);
    const auto found = changed_.find(database);
    return found == changed_.end() ? 0 : found->second;
  }

 private:
  std::atomic<std::uint64_t> now_{0};
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint64_t> changed_;
};

// How often the settings that new sessions start with (ALTER ROLE, ALTER DATABASE ... SET) were seen to change. A server
// connection that was opened before is not for sessions that began after.
class DefaultsClock {
 public:
  [[nodiscard]] std::uint64_t now() const { return now_.load(std::memory_order_acquire); }
  // They were changed. Before the client hears of it.
  void Tick(TimePoint now) {
    ticked_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    now_.fetch_add(1, std::memory_order_acq_rel);
  }
  // When last; TimePoint{}: never.
  [[nodiscard]] TimePoint ticked() const { return TimePoint(Duration(ticked_.load(std::memory_order_relaxed))); }

 private:
  std::atomic<std::uint64_t> now_{0};
  std::atomic<Duration::rep> ticked_{0};
};

// Transactions that were prepared through here and are known to change no catalogue. Met at two-phase commit alone.
class PlainPrepared {
 public:
  void Add(const std::string& identifier) {
    const std::scoped_lock lock(mutex_);
    // Beyond that, as if nothing were known of it.
    if (identifiers_.size() < kMaxPrepared) identifiers_.insert(identifier);
  }
  // False if it is not known to be one.
  bool Remove(const std::string& identifier) {
    const std::scoped_lock lock(mutex_);
    return identifiers_.erase(identifier) > 0;
  }

 private:
  static constexpr std::size_t kMaxPrepared = 1024;
  std::mutex mutex_;
  std::set<std::string> identifiers_;
};

struct Shared {
  std::array<ServerBudget, kMaxServers> budgets;
  SpanExporter* spans = nullptr;            // outlives the workers; null: no statement is traced. Set before any of them runs
  const ConsoleProcess* console = nullptr;  // what consoles see of the process; null: there are none. Set before any worker runs
  std::atomic<std::uint64_t> sessions_numbered{0};  // each session has a number of its own, from 1
  ClientCount clients;
  LoginRates login_rates;
  Crew crew;
  MovedKeys moved_keys;
  HeldStatements held_statements;
  Pause pause;
  DatabaseGates database_gates;
  RuleNames rule_names;
  SequenceReaders sequence_readers;
  DatabaseClaims database_claims;
  Credentials credentials;
  TlsInForce tls;
  // When a statement that may write was last sent or answered, in any worker.
  std::atomic<Duration::rep> last_write{0};
  // The minor version of protocol 3 that the primary speaks, as the last login there showed.
  std::atomic<std::uint16_t> protocol_minor{kNewestMinor};
  std::vector<Worker*> workers;  // filled before any of them runs
  // Ask the control plane; any thread.
  std::function<void()> probe_now;
  // Whose cancel key it may be, if nobody here has it: the process whose place this one takes. Empty: nobody's. Set before any
  // worker runs.
  std::function<void(std::uint32_t pid, const std::string& secret)> cancel_elsewhere;
  // What the servers say of `user` is to be in `credentials`; any thread. True: it is; false: `done` will say so, from a thread that
  // must not wait, or that no server could be asked. Used only if the configuration has auth.asks().
  std::function<bool(const std::string& user, std::function<void(bool answered)> done)> ask_verifier;
  std::function<void(const std::string& database)> want_catalog;  // load it, if it is not there yet
  std::function<void(const std::string& database)> forget_database;  // the name stands for another one, or for none
  CatalogClock catalog_clock;
  DefaultsClock defaults_clock;
  PlainPrepared plain_prepared;
};

}  // namespace waypost
