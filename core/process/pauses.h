// The operator's pauses, of everything and of single databases: begun and ended by the admin port and the console, or by their limits.
// What is held meanwhile: env/pause.h, env/database_gates.h. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/admin/api.h"
#include "core/base/time.h"
#include "core/env/database_gates.h"
#include "core/env/pause.h"

namespace waypost {

class Pauses {
 public:
  struct Uses {
    Pause& pause;  // what the workers look at; these two outlive this
    DatabaseGates& gates;  // and of single databases
    std::function<void()> wake;  // what is held looks again; called on any thread, and does not wait
    // For those who look at the events. Must not come back here.
    std::function<void(const std::string& kind, const std::string& level, const std::string& text)> tell;
  };
  explicit Pauses(Uses uses) : uses_(std::move(uses)) {}

  // `what`: "all", or "writes". In place of one that there is.
  void Begin(const std::string& what, std::chrono::seconds limit, TimePoint now);
  // `why`: for the event. Nothing happens if there is no pause.
  void End(const std::string& why);
  // Of everything, and of single databases.
  void EndAll();
  // As often as it suits: those whose limit has passed end.
  void Look(TimePoint now);

  // Nothing: there is none.
  [[nodiscard]] std::optional<ClusterPause> current() const;
  // Those that are not as any database is.
  [[nodiscard]] std::vector<GatedDatabase> Gated(TimePoint now) const;

 private:
  // If `ends` says so, asked under the lock: a pause that began meanwhile is not meant.
  void EndIf(const std::function<bool()>& ends, const std::string& why);

  const Uses uses_;
  mutable std::mutex mutex_;
  std::optional<ClusterPause> current_;  // under mutex_
};

}  // namespace waypost
