#include "core/observe/kept_reads_watch.h"

#include <vector>

#include "core/base/log.h"
#include "routing/kept_reads.h"

namespace waypost {
namespace {

constexpr seconds kInterval{1};
// What passes within this time is not worth a line: a start, a reload, a replica that is started again.
constexpr seconds kPatience{3};

std::vector<RoutingPolicy> PoliciesOf(const Config& config) {
  std::vector<RoutingPolicy> policies{config.routing};
  const auto add = [&](const RoutingOverrides& overrides) { Apply(overrides, policies.emplace_back(config.routing)); };
  for (const auto& one : config.databases) add(one.overrides);
  for (const auto& one : config.users) add(one.overrides);
  for (const auto& one : config.applications) add(one.overrides);
  for (const auto& one : config.listeners) add(one.overrides);
  return policies;
}

}  // namespace

std::string KeptReadsWatch::Find(TimePoint now) const {
  const auto view = sources_.view();
  const auto config = sources_.config();
  const auto fence = sources_.fence();
  if (!view || fence.workers == 0) return seen_;  // as before
  std::vector<std::string> unproved;
  for (std::size_t id = 0; id < view->servers.size(); ++id) unproved.push_back(fence.WhyUnproved(id));
  auto kept = WhyReadsAreKept(*view, PoliciesOf(*config), unproved, now);
  if (!kept.empty()) return "replicas are there, none may be read from: " + kept;
  std::string failed;
  for (const auto& refusal : fence.refusals)
    failed.append(failed.empty() ? "" : "; ")
        .append(view->servers[refusal.server].name + " refuses user \"" + refusal.user + "\" in database \"" + refusal.database +
                "\", whose reads run elsewhere: ")
        .append(refusal.error);
  for (const auto& [database, error] : sources_.catalog_failures())
    failed.append(failed.empty() ? "" : "; ")
        .append("all of database \"" + database + "\" runs on the primary, because its catalogue cannot be read: ")
        .append(error);
  return failed;
}

void KeptReadsWatch::Look(TimePoint now) {
  if (now - looked_ < kInterval) return;
  looked_ = now;
  auto found = Find(now);
  if (found.empty() != seen_.empty()) began_ = now;
  if (found != seen_) changed_ = now;
  seen_ = found;
  if (found.empty() || now - began_ >= kPatience) {
    const std::scoped_lock lock(mutex_);
    why_ = found;
  }
  if (found == told_ || now - changed_ < kPatience) return;
  told_ = std::move(found);
  if (told_.empty()) Log(LogLevel::kInfo, "reads_on_replicas");
  else Log(LogLevel::kWarn, "reads_on_primary", {{"why", told_}});
  if (sources_.tell) sources_.tell(told_);
}

std::string KeptReadsWatch::why() const {
  const std::scoped_lock lock(mutex_);
  return why_;
}

}  // namespace waypost
