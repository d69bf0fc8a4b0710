#include "routing/session_machine.h"

#include <iterator>

namespace waypost {
namespace {

// The same statement again, where nothing stale or read-only can happen.
Decision OnPrimary(Decision decision) {
  if (decision.reason == Reason::kSelfCheck) return decision;
  return {Target::kPrimary, Reason::kRerun, decision.server, false, FencePlan::kNone, decision.settles};
}

Decision Unfenced(Decision decision) {
  decision.fence = FencePlan::kNone;
  return decision;
}

Decision AlreadySettled(Decision decision) {
  decision.settles = false;
  return decision;
}

Decision ProbedFirst(Decision decision) {
  decision.fence = FencePlan::kProbeFirst;
  return decision;
}

// To the pool, or there after it has settled.
Step Acquire(const Decision& decision, bool opens, Do first = Do::kNothing) {
  const bool settles = decision.settles && decision.target == Target::kPrimary;
  const auto verb = settles ? Do::kSettle : Do::kAcquire;
  const auto todo = first == Do::kNothing ? std::array{verb, Do::kNothing} : std::array{first, verb};
  if (settles) return {Settling{decision, opens}, todo};
  return {Acquiring{decision, opens}, todo};
}

// A batch that holds no server connection: to the fence first, or to the pool, or to both.
Step Begin(const Decision& decision, bool opens) {
  switch (decision.fence) {
    case FencePlan::kNone: break;
    case FencePlan::kProbeFirst: return {Fencing{decision, opens}, {Do::kJoinFence}};
    case FencePlan::kOptimistic: return {Acquiring{decision, opens}, {Do::kJoinFence, Do::kAcquire}};
  }
  return Acquire(decision, opens);
}

// A batch for the connection that the session holds.
Step BeginHere(const Decision& decision, bool block, PinReason pin) {
  if (decision.fence != FencePlan::kNone) return {FencingHere{decision, block, pin}, {Do::kJoinFence}};
  if (decision.settles) return {FencingHere{decision, block, pin}, {Do::kSettle}};
  return {Relaying{decision, false, block, pin}, {Do::kSend}};
}

// Behind a batch that left something of the session on its connection. None is tied to a replica: its next write could
// not run there.
Step Tie(PinReason pin, bool replica) {
  if (replica) return {Idle{}, {Do::kCloseServer}};
  return {Pinned{pin}};
}

struct Transition {
  Step operator()(const Idle&, const BatchReady& e) const { return Begin(e.decision, false); }
  Step operator()(const Idle&, const Kept&) const { return {Begun{}, {Do::kAnswerKept}}; }

  Step operator()(const Begun& s, const Kept&) const { return {s, {Do::kAnswerKept}}; }
  Step operator()(const Begun&, const BlockEnded&) const { return {Idle{}, {Do::kAnswerKept}}; }
  Step operator()(const Begun&, const BatchReady& e) const { return Begin(e.decision, true); }

  Step operator()(const Fencing& s, const Proven& e) const {
    auto decision = Unfenced(s.decision);
    decision.server = e.server;
    return {Acquiring{decision, s.opens}, {Do::kAcquire}};
  }
  Step operator()(const Fencing& s, const Unproven&) const {
    return Acquire({.target = Target::kPrimary, .reason = Reason::kReplicaBehind, .settles = s.decision.settles}, s.opens);
  }
  Step operator()(const Fencing& s, const GaveUp&) const {
    if (s.opens) return {FailedBlock{}, {Do::kAnswerError}};
    return {Idle{}, {Do::kAnswerError}};
  }

  Step operator()(const Settling& s, const Settled&) const { return Acquire(AlreadySettled(s.decision), s.opens); }
  Step operator()(const Settling& s, const GaveUp&) const {
    if (s.opens) return {FailedBlock{}, {Do::kAnswerError}};
    return {Idle{}, {Do::kAnswerError}};
  }

  Step operator()(const FencingHere& s, const Proven&) const {
    return {Relaying{Unfenced(s.decision), false, s.block, s.pin}, {Do::kSend}};
  }
  Step operator()(const FencingHere& s, const Settled&) const {
    return {Relaying{AlreadySettled(s.decision), false, s.block, s.pin}, {Do::kSend}};
  }
  Step operator()(const FencingHere& s, const GaveUp&) const {
    if (s.pin == PinReason::kNone && s.block) return {FailedBlock{}, {Do::kCloseServer, Do::kAnswerError}};
    return {Closed{}, {Do::kCloseServer, Do::kCloseClient}};
  }
  Step operator()(const FencingHere& s, const ServerLost& e) const {
    if (e.mid_message) return {Closed{}, {Do::kCloseClient}};
    if (s.pin == PinReason::kNone && s.block) return {FailedBlock{}, {Do::kAnswerError}};
    return {Closed{}, {Do::kCloseClient}};
  }

  Step operator()(const Acquiring& s, const Behind&) const { return {Fencing{ProbedFirst(s.decision), s.opens}}; }
  Step operator()(const Acquiring& s, const Leased&) const {
    return {Relaying{.decision = s.decision, .block = s.opens, .opens = s.opens}, {Do::kSend}};
  }
  Step operator()(const Acquiring& s, const NoLease&) const {
    if (s.opens) return {FailedBlock{}, {Do::kAnswerError}};
    return {Idle{}, {Do::kAnswerError}};
  }
  Step operator()(const Acquiring& s, const Rerouted& e) const {
    auto decision = e.decision;
    decision.settles = s.decision.settles;
    return Acquire(decision, s.opens);
  }

  Step operator()(const Relaying& s, const Continued&) const {
    return {FencingHere{ProbedFirst(s.decision), s.block, s.pin}, {Do::kJoinFence}};
  }
  Step operator()(Relaying s, const Forwarding&) const {
    s.forwarded = true;
    return {s};
  }
  Step operator()(const Relaying& s, const HeldError& e) const {
    const bool again = e.unbegun && !s.forwarded && !s.block && s.pin == PinReason::kNone;
    if (!s.MayRerun() && !again) return {s};
    return {Discarding{s.decision, s.opens}, {Do::kDiscard}};
  }
  Step operator()(const Relaying& s, const Refuted&) const {
    if (!s.MayRerun()) return {s};
    return {Discarding{ProbedFirst(s.decision), s.opens, true}, {Do::kDiscard}};
  }
  Step operator()(const Relaying& s, const CheckDue&) const {
    const bool checked = s.decision.reason == Reason::kSelfCheck;
    if (!(s.decision.may_rerun || checked) || s.forwarded || s.block || s.pin != PinReason::kNone) return {s};
    return {Discarding{{Target::kPrimary, Reason::kSelfCheck, s.decision.server, false}}};
  }
  Step operator()(const Relaying& s, const BatchDone& e) const {
    const auto pin = e.pin != PinReason::kNone || e.unpinned ? e.pin : s.pin;
    if (e.status != 'I') return {InBlock{pin}};
    if (e.audit) return {Auditing{pin}, {Do::kAudit}};
    if (pin != PinReason::kNone) return Tie(pin, e.replica);
    return {Idle{}, {Do::kRelease}};
  }
  Step operator()(const Relaying& s, const ServerLost& e) const {
    if (e.mid_message) return {Closed{}, {Do::kCloseClient}};
    const bool again = e.unheard && !s.forwarded && (!s.block || s.opens) && s.pin == PinReason::kNone;
    if (s.MayRerun() || again) return Acquire(OnPrimary(s.decision), s.opens);
    if (s.pin != PinReason::kNone) return {Closed{}, {Do::kCloseClient}};
    if (s.block && e.rolls_back) return {Idle{}, {Do::kAnswerRollback}};
    // After its COMMIT or ROLLBACK the block is over, however that went.
    if (s.block && !e.ends_block) return {FailedBlock{}, {Do::kAnswerError}};
    return {Idle{}, {Do::kAnswerError}};
  }

  Step operator()(const Discarding& s, const BatchDone& e) const {
    if (s.refuted) return {Fencing{s.decision, s.opens}, {e.status == 'I' ? Do::kRelease : Do::kCloseServer, Do::kJoinFence}};
    return Acquire(OnPrimary(s.decision), s.opens, e.status == 'I' ? Do::kRelease : Do::kCloseServer);
  }
  Step operator()(const Discarding& s, const ServerLost&) const {
    if (s.refuted) return {Fencing{s.decision, s.opens}, {Do::kJoinFence}};
    return Acquire(OnPrimary(s.decision), s.opens);
  }

  Step operator()(const InBlock& s, const BatchReady& e) const { return BeginHere(e.decision, true, s.pin); }
  Step operator()(const InBlock& s, const Kept&) const {
    if (s.pin != PinReason::kNone) return {s};
    return {Begun{}, {Do::kCloseServer, Do::kAnswerKept}};
  }
  Step operator()(const InBlock& s, const Moved&) const {
    if (s.pin != PinReason::kNone) return {s};
    return {Begun{}, {Do::kCloseServer}};
  }
  Step operator()(const FencingHere& s, const Moved&) const {
    if (s.pin != PinReason::kNone || !s.block) return {s};
    return {Begun{}, {Do::kCloseServer}};
  }
  Step operator()(const InBlock& s, const ServerLost&) const {
    if (s.pin != PinReason::kNone) return {Closed{}, {Do::kCloseClient}};
    return {FailedBlock{}};
  }

  Step operator()(const Auditing&, const Audited& e) const {
    if (e.pin != PinReason::kNone) return Tie(e.pin, e.replica);
    return {Idle{}, {Do::kRelease}};
  }
  Step operator()(const Auditing&, const ServerLost&) const { return {Closed{}, {Do::kCloseClient}}; }

  Step operator()(const Pinned& s, const BatchReady& e) const { return BeginHere(e.decision, false, s.why); }
  Step operator()(const Pinned&, const ServerLost&) const { return {Closed{}, {Do::kCloseClient}}; }

  Step operator()(const FailedBlock& s, const BatchReady&) const { return {s, {Do::kAnswerFailed}}; }
  Step operator()(const FailedBlock&, const BlockEnded&) const { return {Idle{}, {Do::kAnswerRollback}}; }

  Step operator()(const Closed& s, const ClientGone&) const { return {s}; }
  Step operator()(const Idle&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Begun&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Acquiring&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const FailedBlock&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Fencing&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Settling&, const ClientGone&) const { return {Closed{}}; }
  template <class S>
  Step operator()(const S&, const ClientGone&) const {
    return {Closed{}, {Do::kCloseServer}};
  }

  template <class S, class E>
  Step operator()(const S& s, const E&) const {
    return {.next = s, .expected = false};
  }
};

}  // namespace

Step Advance(const State& state, const Event& event) { return std::visit(Transition{}, state, event); }

std::string_view StateName(const State& state) {
  static constexpr std::string_view kNames[] = {"idle",       "begun",        "fencing", "acquiring", "relaying",
                                                "discarding", "inblock",      "pinned",  "auditing",  "fencing_here",
                                                "settling",   "failed_block", "closed"};
  return kNames[state.index()];
}

std::string_view EventName(const Event& event) {
  static constexpr std::string_view kNames[] = {"batch_ready", "kept",      "proven",     "unproven",   "settled", "gave_up",
                                                "behind",      "leased",    "no_lease",   "rerouted",   "refuted", "check_due",
                                                "held_error",  "continued", "forwarding", "batch_done", "audited", "server_lost",
                                                "block_ended", "moved",     "client_gone"};
  static_assert(std::size(kNames) == std::variant_size_v<Event>);
  return kNames[event.index()];
}

}  // namespace waypost
