#include "routing/kept_reads.h"

#include <algorithm>

#include "routing/decide.h"

namespace waypost {
namespace {

// A replica that shows nothing newer is of no use to strict reads, which then time out at the fence one by one.
constexpr milliseconds kHopelesslyLate{5'000};

bool WantsReplicas(const RoutingPolicy& policy) {
  return policy.consistency != Consistency::kPrimary && policy.read_from != ReadFrom::kNone;
}

bool LagsForLong(const ServerView& server, const ClusterView& view, TimePoint now) {
  return now - server.fresh_as_of > std::max(kHopelesslyLate, 4 * view.probe_interval);
}

std::string WhyKept(const ClusterView& view, const RoutingPolicy& policy, std::span<const std::string> unproved, TimePoint now) {
  std::string why;
  for (ServerId id = 0; id < view.servers.size(); ++id) {
    const auto& server = view.servers[id];
    if (server.removed || view.primary == id) continue;
    auto its = WhyNotReadFrom(server, view, policy, now);
    if (its.empty() && policy.consistency == Consistency::kStrict && id < unproved.size()) its = unproved[id];
    if (its.empty() && policy.consistency == Consistency::kStrict && LagsForLong(server, view, now))
      its = "its replay has lagged behind the primary for more than 5 s";
    if (its.empty()) return "";
    why.append(why.empty() ? "" : "; ").append(server.name).append(": ").append(its);
  }
  return why;
}

}  // namespace

std::string WhyReadsAreKept(const ClusterView& view, std::span<const RoutingPolicy> policies,
                            std::span<const std::string> unproved, TimePoint now) {
  if (!view.primary) return "";
  std::string why;
  for (const auto& policy : policies) {
    if (!WantsReplicas(policy)) continue;
    auto its = WhyKept(view, policy, unproved, now);
    if (its.empty()) return "";
    if (why.empty()) why = std::move(its);
  }
  return why;
}

}  // namespace waypost
