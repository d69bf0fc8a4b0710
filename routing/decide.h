// Why any statement goes where it goes. Pure: a batch, its session, the servers and the policy in; a target and the
// reason out. Read it from top to bottom, the first row that applies wins:
//
//   the session holds a server connection (pinned, in a transaction, session pooling)   -> that connection
//   it opens a transaction block that is not READ ONLY                                  -> primary
//   the end of the batch is not known, or it is too large to keep                       -> primary
//   a statement in it is not a read (or not understood)                                 -> primary
//   a rule, a comment hint, the policy or the session's settings forbid replicas        -> primary
//   a replica may be read from                                                          -> the least busy, by weight
//   none may: read_from_primary = "never"                                               -> refused
//   otherwise                                                                           -> primary
//
// Where a replica is read from, the fence plan says what must be proved first (fence.h). A strict read that runs on the
// primary, or has to run there after all, settles first (settle.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "parser/sql/verdict.h"
#include "routing/cluster_view.h"
#include "routing/fence.h"
#include "routing/policy.h"

namespace waypost {

// One batch: the verdicts of all its statements taken together.
struct BatchFacts {
  Class cls = Class::kWrite;
  Reason why = Reason::kNotUnderstood;
  bool begins_read_only = false;  // BEGIN READ ONLY and nothing after it that a replica could not run
  bool end_known = true;          // it ends with Sync, Query or FunctionCall
  bool retained = true;           // its bytes are kept: it can be sent again
  bool repeatable = true;         // running it twice does no harm
  bool reads_by_form = true;      // each of its statements is EXECUTE or has the form of a read, whatever it may reach
  bool needs_fence = true;        // it reads something of which a replica may show an older state
  std::optional<Reason> to_primary{};  // set: a rule or a hint sends it to the primary even if it is a read
};

// What the decision depends on in the session.
struct SessionFacts {
  bool holds_connection = false;  // in a transaction, pinned or in session mode
  Reason holds_why = Reason::kInTransaction;
  bool held_by_replica = false;   // the connection that it holds is to a replica
  bool snapshot_taken = false;    // in a block that goes on reading the snapshot of its first statement
  bool serializable_default = false;
  // The batch is the first of a block whose BEGIN no server has seen.
  enum class Opens : std::uint8_t { kNothing, kReadWrite, kReadOnly } opens = Opens::kNothing;
};

enum class Target : std::uint8_t { kPrimary, kReplica, kHeld, kRefuse, kCount };
[[nodiscard]] std::string_view TargetName(Target target);

enum class FencePlan : std::uint8_t {
  kNone,
  kProbeFirst,  // ask for the read index, wait for a replica that has reached it, then send
  kOptimistic,  // send now, hold the answer back until the read index shows that it was right
};

struct Decision {
  Target target = Target::kPrimary;
  Reason reason = Reason::kNotUnderstood;
  ServerId server = 0;     // kReplica
  bool may_rerun = false;  // an error or loss before the first forwarded byte may be healed on the primary
  FencePlan fence = FencePlan::kNone;
  bool settles = false;    // where it runs on the primary it settles first (settle.h)
};

// What this worker has in flight, and what it has proved.
struct Load {
  std::span<const std::uint32_t> outstanding;  // batches by ServerId; may be shorter than the server list
  std::uint32_t turn = 0;                      // counts up: of servers that are equally busy each gets its turn
  const Fence* fence = nullptr;                // null: assumed to be able to prove anything
  TimePoint last_write{};                      // when a statement that may write was last in flight
  std::uint64_t refused = 0;                   // bits by ServerId: replicas that refuse this user's log-in to this database

  [[nodiscard]] bool Refused(ServerId id) const { return id < 64 && (refused >> id & 1U) != 0; }
};

[[nodiscard]] Decision Decide(const BatchFacts& batch, const SessionFacts& session, const ClusterView& view,
                              const RoutingPolicy& policy, Load load, TimePoint now);

// The replica to send a read to that must see `index`: the least busy of those that the policy allows and that have
// replayed it. Nothing if there is none.
[[nodiscard]] std::optional<ServerId> ReplicaBehind(Lsn index, const ClusterView& view, const RoutingPolicy& policy, Load load,
                                                    TimePoint now);

// What Decide() would say if replicas were allowed and there was one: `read_from = "none"` shows by it what share of the
// statements could move, and why the rest could not. Only target (kPrimary, kReplica) and reason are set.
[[nodiscard]] Decision DecideAsIfReplicas(const BatchFacts& batch, const SessionFacts& session, RoutingPolicy policy);

// True if a read went to the primary only because no replica could take it.
[[nodiscard]] bool IsFallback(Reason reason);

// True if one of the replicas that the policy allows is likely to catch up within fence_wait.
[[nodiscard]] bool WorthWaiting(const ClusterView& view, const RoutingPolicy& policy, const Fence& fence, TimePoint now);

// True if a replica of this policy may be read from at `now`, once the fence lets it: seen at most two probe intervals
// ago, and one of those that read_from names.
[[nodiscard]] bool MayReadFrom(const ServerView& server, const ClusterView& view, const RoutingPolicy& policy, TimePoint now);

// Why MayReadFrom() is false, in words for an administrator; "" if it is true.
[[nodiscard]] std::string WhyNotReadFrom(const ServerView& server, const ClusterView& view, const RoutingPolicy& policy,
                                         TimePoint now);

// True if what the replica shows is within the bounds of consistency = "bounded".
[[nodiscard]] bool WithinBounds(ServerId id, const ClusterView& view, const RoutingPolicy& policy, const Fence* fence,
                                TimePoint now);

}  // namespace waypost
