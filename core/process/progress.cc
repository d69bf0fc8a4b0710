#include "core/process/progress.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

// A start or a switch-over that goes well takes less.
constexpr seconds kPrimaryPatience{3};
constexpr seconds kPrimaryAgain{30};
constexpr seconds kLoadPatience{1};
constexpr seconds kDrainAgain{5};

std::int64_t Seconds(Duration duration) { return std::max<std::int64_t>(0, std::chrono::ceil<seconds>(duration).count()); }

}  // namespace

void Progress::Look(const Seen& seen, TimePoint now) {
  LookForPrimary(seen, now);
  if (seen.loading && seen.loading != load_told_ && now - seen.loading->since >= kLoadPatience) {
    load_told_ = seen.loading;
    Log(LogLevel::kInfo, "catalog_loading", {{"database", seen.loading->database}, {"server", seen.loading->server}});
  }
  Tell(serving_ + (seen.primary.empty() ? "; waiting for a primary" : "; the primary is " + seen.primary));
}

void Progress::LookForPrimary(const Seen& seen, TimePoint now) {
  if (!seen.primary.empty()) {
    no_primary_since_.reset();
    no_primary_told_.reset();
    return;
  }
  if (!no_primary_since_) no_primary_since_ = now;
  if (now - *no_primary_since_ < kPrimaryPatience || (no_primary_told_ && now - *no_primary_told_ < kPrimaryAgain)) return;
  no_primary_told_ = now;
  Log(LogLevel::kWarn, "waiting_for_primary", {{"for_s", Seconds(now - *no_primary_since_)}, {"why", seen.why_none}});
}

void Progress::Drain(std::size_t clients, TimePoint deadline, TimePoint now) {
  const auto left = Seconds(deadline - now);
  Tell("Draining: clients left: " + std::to_string(clients) + ", closed in " + std::to_string(left) + " s at the latest");
  if (drain_told_ && now - *drain_told_ < kDrainAgain) return;
  drain_told_ = now;
  Log(LogLevel::kInfo, "draining", {{"clients", clients}, {"left_s", left}});
}

void Progress::Tell(std::string status) {
  if (status == status_) return;
  status_ = std::move(status);
  tell_(status_);
}

}  // namespace waypost
