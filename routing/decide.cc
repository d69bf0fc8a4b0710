#include "routing/decide.h"

#include <optional>

namespace waypost {
namespace {

// The least busy by weight; a server of weight 0 takes no reads.
std::optional<ServerId> LeastOutstanding(const ClusterView& view, const RoutingPolicy& policy,
                                         Load load, TimePoint now) {
  std::optional<ServerId> best;
  double best_load = 0;
  const auto count = view.servers.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto id = static_cast<ServerId>((i + load.turn) % count);
    const auto& server = view.servers[id];
    const bool primary_share = policy.read_from_primary == ReadFromPrimary::kAlways &&
                               view.primary == id && server.weight > 0;
    if (!primary_share && !MayReadFrom(server, view, policy, now)) continue;
    const double busy = id < load.outstanding.size() ? load.outstanding[id] : 0;
    const double share = (busy + 1) / server.weight;
    if (best && share >= best_load) continue;
    best = id;
    best_load = share;
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
                const RoutingPolicy& policy, Load load, TimePoint now) {
  if (session.holds_connection) return {Target::kHeld, session.holds_why};
  const bool read = batch.cls == Class::kRead || batch.begins_read_only;
  if (!read) return {Target::kPrimary, batch.why};
  if (const auto why = ForbidsReplicas(batch, session, policy)) return {Target::kPrimary, *why};
  const auto server = LeastOutstanding(view, policy, load, now);
  if (!server && policy.read_from_primary == ReadFromPrimary::kNever)
    return {Target::kRefuse, Reason::kNoEligibleReplica};
  if (!server) return {Target::kPrimary, Reason::kNoEligibleReplica};
  if (view.primary == *server) return {Target::kPrimary, Reason::kPrimaryShare};
  return {Target::kReplica,
          batch.begins_read_only ? Reason::kReadOnlyTransaction : Reason::kReadSafe, *server,
          batch.retained && batch.repeatable};
}

}  // namespace waypost
