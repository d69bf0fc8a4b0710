#include "routing/decide.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace waypost {
namespace {

// Which of `count` has its turn. Golden section: even, and also if every second or third turn is a write's.
std::size_t Turn(std::uint32_t turn, std::size_t count) {
  return static_cast<std::size_t>(std::uint64_t{turn * 0x9E3779B9U} * count >> 32U);
}

// The least busy by weight; a server of weight 0 takes no reads.
std::optional<ServerId> LeastOutstanding(const ClusterView& view, const RoutingPolicy& policy,
                                         Load load, TimePoint now) {
  const auto share = [&](ServerId id) -> std::optional<double> {
    const auto& server = view.servers[id];
    const bool primary_share = policy.read_from_primary == ReadFromPrimary::kAlways &&
                               view.primary == id && server.weight > 0;
    if (!primary_share && !MayReadFrom(server, view, policy, now)) return std::nullopt;
    const double busy = id < load.outstanding.size() ? load.outstanding[id] : 0;
    return (busy + 1) / server.weight;
  };
  std::optional<double> least;
  std::size_t equals = 0;
  for (ServerId id = 0; id < view.servers.size(); ++id) {
    const auto its = share(id);
    if (!its || (least && *its > *least)) continue;
    equals = least == its ? equals + 1 : 1;
    least = its;
  }
  if (!least) return std::nullopt;
  auto left = Turn(load.turn, equals);
  for (ServerId id = 0;; ++id)
    if (share(id) == least && left-- == 0) return id;
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

ClusterView OneGoodReplica() {
  ClusterView view;
  ServerView& replica = view.servers.emplace_back();
  replica.up = replica.streaming = replica.eligible = true;
  replica.role = Role::kReplica;
  replica.sync_state = SyncState::kSync;
  return view;
}

}  // namespace

bool IsFallback(Reason reason) {
  return reason == Reason::kNoEligibleReplica || reason == Reason::kSyncCommitLowered;
}

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
  using Opens = SessionFacts::Opens;
  if (session.opens == Opens::kReadWrite) return {Target::kPrimary, Reason::kInTransaction};
  // What a READ ONLY block may not do fails on either side, and what only the primary can tell is asked there.
  const bool read_only_block = batch.begins_read_only || (session.opens == Opens::kReadOnly && batch.cls != Class::kWrite);
  const bool read = batch.cls == Class::kRead || read_only_block;
  if (!read) return {Target::kPrimary, batch.why};
  if (const auto why = ForbidsReplicas(batch, session, policy)) return {Target::kPrimary, *why};
  const auto server = LeastOutstanding(view, policy, load, now);
  if (!server && policy.read_from_primary == ReadFromPrimary::kNever)
    return {Target::kRefuse, Reason::kNoEligibleReplica};
  if (!server) return {Target::kPrimary, Reason::kNoEligibleReplica};
  if (view.primary == *server) return {Target::kPrimary, Reason::kPrimaryShare};
  return {Target::kReplica,
          read_only_block ? Reason::kReadOnlyTransaction : Reason::kReadSafe, *server,
          batch.retained && batch.repeatable};
}

Decision DecideAsIfReplicas(const BatchFacts& batch, const SessionFacts& session, RoutingPolicy policy) {
  if (session.holds_connection)
    return {session.holds_why == Reason::kReadOnlyTransaction ? Target::kReplica : Target::kPrimary, session.holds_why};
  policy.read_from = ReadFrom::kSynchronous;
  policy.read_from_primary = ReadFromPrimary::kFallback;
  static const ClusterView view = OneGoodReplica();
  return Decide(batch, session, view, policy, {}, {});
}

}  // namespace waypost
