#include "routing/decide.h"

#include <optional>

namespace waypost {
namespace {

// The least busy by weight; a server of weight 0 takes no reads. Ties go round by `spread`.
std::optional<ServerId> LeastOutstanding(const ClusterView& view, const RoutingPolicy& policy,
                                         std::span<const std::uint32_t> outstanding, TimePoint now) {
  std::optional<ServerId> best;
  double best_load = 0;
  for (ServerId id = 0; id < view.servers.size(); ++id) {
    const auto& server = view.servers[id];
    const bool primary_share = policy.read_from_primary == ReadFromPrimary::kAlways &&
                               view.primary == id && server.weight > 0;
    if (!primary_share && !MayReadFrom(server, view, policy, now)) continue;
    const double busy = id < outstanding.size() ? outstanding[id] : 0;
    const double load = (busy + 1) / server.weight;
    if (best && load >= best_load) continue;
    best = id;
    best_load = load;
  }
  return best;
}

std::optional<Reason> ForbidsReplicas(const BatchFacts& batch, const SessionFacts& session,
                                      const RoutingPolicy& policy) {
  if (!batch.end_known) return Reason::kOpenEnded;
  if (!batch.retained) return Reason::kTooLarge;
  if (policy.consistency == Consistency::kPrimary || policy.read_from == ReadFrom::kNone)
    return Reason::kConsistencyPrimary;
  if (session.serializable_default) return Reason::kSerializable;
  if (session.synchronous_commit_lowered && policy.consistency == Consistency::kStrict)
    return Reason::kSyncCommitLowered;
  return std::nullopt;
}

}  // namespace

std::string_view TargetName(Target target) {
  switch (target) {
    case Target::kPrimary: return "primary";
    case Target::kReplica: return "replica";
    case Target::kHeld: return "held";
    case Target::kRefuse: return "refused";
    case Target::kCount: break;
  }
  return "?";
}

bool MayReadFrom(const ServerView& server, const ClusterView& view, const RoutingPolicy& policy,
                 TimePoint now) {
  if (server.removed || !server.up || server.role != Role::kReplica || server.weight == 0) return false;
  if (now - server.sampled > 2 * view.probe_interval) return false;
  // Reading what may be old was asked for: any standby that streams will do.
  if (policy.consistency == Consistency::kEventual)
    return server.streaming &&
           (policy.read_from == ReadFrom::kStreaming || server.sync_state == SyncState::kSync ||
            server.sync_state == SyncState::kQuorum);
  return server.eligible;
}

Decision Decide(const BatchFacts& batch, const SessionFacts& session, const ClusterView& view,
                const RoutingPolicy& policy, std::span<const std::uint32_t> outstanding,
                TimePoint now) {
  if (session.holds_connection) return {Target::kHeld, session.holds_why};
  const bool read = batch.cls == Class::kRead || batch.begins_read_only;
  if (!read) return {Target::kPrimary, batch.why};
  if (const auto why = ForbidsReplicas(batch, session, policy)) return {Target::kPrimary, *why};
  const auto server = LeastOutstanding(view, policy, outstanding, now);
  if (!server && policy.read_from_primary == ReadFromPrimary::kNever)
    return {Target::kRefuse, Reason::kNoEligibleReplica};
  if (!server) return {Target::kPrimary, Reason::kNoEligibleReplica};
  if (view.primary == *server) return {Target::kPrimary, Reason::kPrimaryShare};
  return {Target::kReplica,
          batch.begins_read_only ? Reason::kReadOnlyTransaction : Reason::kReadSafe, *server,
          batch.retained && batch.repeatable};
}

}  // namespace waypost
