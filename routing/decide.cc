#include "routing/decide.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "routing/health.h"

namespace waypost {
namespace {

// Which of `count` has its turn. Golden section: even, and also if every second or third turn is a write's.
std::size_t Turn(std::uint32_t turn, std::size_t count) {
  return static_cast<std::size_t>(std::uint64_t{turn * 0x9E3779B9U} * count >> 32U);
}

// The least busy by weight of the servers that `may` says may be read from; one of weight 0 takes no reads.
template <class May>
std::optional<ServerId> LeastOutstanding(const ClusterView& view, Load load, May may) {
  const auto share = [&](ServerId id) -> std::optional<double> {
    const auto& server = view.servers[id];
    if (server.weight == 0 || !may(id)) return std::nullopt;
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

std::optional<Reason> ForbidsReplicas(const BatchFacts& batch, const SessionFacts& session, const RoutingPolicy& policy) {
  if (!batch.end_known) return Reason::kOpenEnded;
  if (!batch.retained) return Reason::kTooLarge;
  if (batch.to_primary) return batch.to_primary;
  if (policy.consistency == Consistency::kPrimary || policy.read_from == ReadFrom::kNone) return Reason::kConsistencyPrimary;
  if (session.serializable_default) return Reason::kSerializable;
  return std::nullopt;
}

bool IsOf(ReadFrom read_from, const ServerView& server) {
  if (read_from == ReadFrom::kNone) return false;
  return read_from == ReadFrom::kStreaming || server.sync_state == SyncState::kSync || server.sync_state == SyncState::kQuorum;
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

bool IsFallback(Reason reason) { return reason == Reason::kNoEligibleReplica || reason == Reason::kReplicaBehind; }

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

bool MayReadFrom(const ServerView& server, const ClusterView& view, const RoutingPolicy& policy, TimePoint now) {
  if (server.removed || !server.up || server.role != Role::kReplica || server.weight == 0) return false;
  if (server.intent != Intent::kActive) return false;
  if (!FreshEnough(server, view, now)) return false;
  const bool stale_will_do = policy.consistency == Consistency::kEventual || policy.consistency == Consistency::kBounded;
  if (!server.streaming && !(stale_will_do && server.readable)) return false;
  return IsOf(policy.read_from, server);
}

std::string WhyNotReadFrom(const ServerView& server, const ClusterView& view, const RoutingPolicy& policy, TimePoint now) {
  if (MayReadFrom(server, view, policy, now)) return "";
  const bool judged = !server.removed && server.up && server.role == Role::kReplica;
  if (judged && server.intent != Intent::kActive) return server.ineligible_why;
  if (judged && server.weight == 0) return "its weight is 0";
  if (judged && !FreshEnough(server, view, now)) return "its last answer to a probe is too old";
  if (!server.ineligible_why.empty()) return server.ineligible_why;
  return "not streaming";
}

bool WithinBounds(ServerId id, const ClusterView& view, const RoutingPolicy& policy, const Fence* fence, TimePoint now) {
  const auto& server = view.servers[id];
  if (policy.max_lag_bytes != 0) {
    // The last sample is a lower bound of where the primary is, and what the fence has heard since.
    if (!view.primary || !server.streaming) return false;
    auto primary = view.servers[*view.primary].insert_lsn;
    auto replay = server.replay_lsn;
    if (fence != nullptr && fence->open()) {
      primary = std::max(primary, fence->position());
      replay = std::max(replay, fence->SeenOf(id).replay);
    }
    if (primary.value > replay.value + policy.max_lag_bytes) return false;
  }
  if (policy.max_lag.count() == 0) return true;
  const auto fresh = std::max(server.fresh_as_of, fence != nullptr ? fence->FreshAsOf(id) : TimePoint{});
  return fresh != TimePoint{} && now - fresh <= policy.max_lag;
}

namespace {

bool HasReached(Lsn index, ServerId id, const ClusterView& view, const RoutingPolicy& policy, const Load& load, TimePoint now) {
  return !load.Refused(id) && load.fence != nullptr && load.fence->Knows(id) && load.fence->SeenOf(id).replay >= index &&
         MayReadFrom(view.servers[id], view, policy, now);
}

}  // namespace

std::optional<ServerId> ReplicaBehind(Lsn index, const ClusterView& view, const RoutingPolicy& policy, Load load, TimePoint now) {
  return LeastOutstanding(view, load, [&](ServerId id) { return HasReached(index, id, view, policy, load, now); });
}

bool WorthWaiting(const ClusterView& view, const RoutingPolicy& policy, const Fence& fence, TimePoint now) {
  for (ServerId id = 0; id < view.servers.size(); ++id)
    if (fence.Knows(id) && !fence.FarBehind(id) && MayReadFrom(view.servers[id], view, policy, now)) return true;
  return false;
}

namespace {

// How a read that a replica may take is proved to see all it must.
FencePlan PlanFor(const Decision& decision, bool block, Load load, TimePoint now) {
  if (load.fence == nullptr) return FencePlan::kNone;
  const bool likely =
      load.fence->Quiet(now, load.last_write) && load.fence->SeenOf(decision.server).replay >= load.fence->position();
  return decision.may_rerun && !block && likely ? FencePlan::kOptimistic : FencePlan::kProbeFirst;
}

// Reads by their form, wherever they stand. Where no replica is one to read from, nothing was shown; with consistency =
// "primary" the primary is all that is to be asked.
bool MustSettle(const BatchFacts& batch, const SessionFacts& session, const ClusterView& view, const RoutingPolicy& policy,
                const Fence* fence) {
  if (policy.consistency != Consistency::kStrict) return false;
  if (session.held_by_replica) return false;
  if (!batch.needs_fence || !(batch.reads_by_form || batch.begins_read_only)) return false;
  if (fence == nullptr || !fence->open()) return false;
  for (ServerId id = 0; id < view.servers.size(); ++id)
    if (fence->Knows(id) && IsOf(policy.read_from, view.servers[id])) return true;
  return false;
}

Decision Place(const BatchFacts& batch, const SessionFacts& session, const ClusterView& view, const RoutingPolicy& policy,
               Load load, TimePoint now) {
  const bool fenced =
      batch.needs_fence && (policy.consistency == Consistency::kStrict || policy.consistency == Consistency::kBounded);
  if (session.holds_connection) {
    Decision held{Target::kHeld, session.holds_why};
    if (fenced && session.held_by_replica && !session.snapshot_taken) held.fence = FencePlan::kProbeFirst;
    return held;
  }
  using Opens = SessionFacts::Opens;
  if (session.opens == Opens::kReadWrite) return {Target::kPrimary, Reason::kInTransaction};
  // What a READ ONLY block may not do fails on either side, and what only the primary can tell is asked there.
  const bool read_only_block = batch.begins_read_only || (session.opens == Opens::kReadOnly && batch.cls != Class::kWrite);
  const bool read = batch.cls == Class::kRead || read_only_block;
  if (!read) return {Target::kPrimary, batch.why};
  if (const auto why = ForbidsReplicas(batch, session, policy)) return {Target::kPrimary, *why};

  const auto open = [&](ServerId id) { return !load.Refused(id) && MayReadFrom(view.servers[id], view, policy, now); };
  const auto known = [&](ServerId id) {
    return open(id) && (load.fence == nullptr || (load.fence->open() && load.fence->Knows(id)));
  };
  const auto primary_too = [&](ServerId id) {
    return policy.read_from_primary == ReadFromPrimary::kAlways && view.primary == id;
  };
  std::optional<ServerId> server;
  bool proved = !fenced;
  if (fenced && policy.consistency == Consistency::kBounded) {
    server = LeastOutstanding(view, load, [&](ServerId id) {
      return primary_too(id) || (open(id) && WithinBounds(id, view, policy, load.fence, now));
    });
    proved = server.has_value();
  }
  if (!server && fenced && load.fence != nullptr && load.fence->Quiet(now, load.last_write)) {
    const auto index = load.fence->position();
    server = LeastOutstanding(view, load,
                              [&](ServerId id) { return primary_too(id) || HasReached(index, id, view, policy, load, now); });
  }
  if (!server)
    server = LeastOutstanding(view, load, [&](ServerId id) { return primary_too(id) || (fenced ? known(id) : open(id)); });
  if (!server && policy.read_from_primary == ReadFromPrimary::kNever) return {Target::kRefuse, Reason::kNoEligibleReplica};
  if (!server) return {Target::kPrimary, Reason::kNoEligibleReplica};
  if (view.primary == *server) return {Target::kPrimary, Reason::kPrimaryShare};
  Decision decision{Target::kReplica, read_only_block ? Reason::kReadOnlyTransaction : Reason::kReadSafe, *server,
                    batch.retained && batch.repeatable};
  if (!proved) decision.fence = PlanFor(decision, read_only_block, load, now);
  return decision;
}

}  // namespace

Decision Decide(const BatchFacts& batch, const SessionFacts& session, const ClusterView& view, const RoutingPolicy& policy,
                Load load, TimePoint now) {
  auto decision = Place(batch, session, view, policy, load, now);
  decision.settles = MustSettle(batch, session, view, policy, load.fence);
  return decision;
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
