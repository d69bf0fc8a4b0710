#include "core/process/pauses.h"

#include "core/base/log.h"

namespace waypost {

void Pauses::Begin(const std::string& what, std::chrono::seconds limit, TimePoint now) {
  const auto today = std::chrono::system_clock::now();
  {
    const std::scoped_lock lock(mutex_);
    current_ = ClusterPause{what, today, today + limit};
    uses_.pause.Begin(what == "all" ? PauseScope::kAll : PauseScope::kWrites, now + limit);
  }
  Log(LogLevel::kWarn, "paused", {{"what", what}, {"limit_s", limit.count()}});
  uses_.tell("pause", "warning", what + " are held for at most " + std::to_string(limit.count()) + " s");
}

void Pauses::EndIf(const std::function<bool()>& ends, const std::string& why) {
  {
    const std::scoped_lock lock(mutex_);
    if (!current_ || !ends()) return;
    current_.reset();
    uses_.pause.End();
    uses_.wake();
  }
  Log(LogLevel::kInfo, "resumed", {{"why", why}});
  uses_.tell("resume", "info", "held statements go on: " + why);
}

void Pauses::End(const std::string& why) {
  EndIf([] { return true; }, why);
}

void Pauses::EndAll() {
  End("the operator said so");
  for (const auto& [database, gate] : uses_.gates.all())
    if (uses_.gates.LetGo(database)) uses_.tell("resume", "info", "held statements of database " + database + " go on");
  uses_.wake();
}

void Pauses::Look(TimePoint now) {
  EndIf([&] { return uses_.pause.At(now) == PauseScope::kNone; }, "its limit has passed");
  const auto due = uses_.gates.LetGoOfDue(now);
  for (const auto& database : due)
    uses_.tell("resume", "info", "held statements of database " + database + " go on: its limit has passed");
  if (!due.empty()) uses_.wake();
}

std::optional<ClusterPause> Pauses::current() const {
  const std::scoped_lock lock(mutex_);
  return current_;
}

std::vector<GatedDatabase> Pauses::Gated(TimePoint now) const {
  std::vector<GatedDatabase> gated;
  for (const auto& [name, gate] : uses_.gates.all()) {
    gated.push_back({name, std::nullopt, gate.disabled});
    if (gate.held_until)
      gated.back().held_until = std::chrono::system_clock::now() +
                                std::chrono::duration_cast<std::chrono::system_clock::duration>(*gate.held_until - now);
  }
  return gated;
}

}  // namespace waypost
