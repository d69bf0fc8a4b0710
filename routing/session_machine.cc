#include "routing/session_machine.h"

namespace waypost {
namespace {

// The same statement again, where nothing stale or read-only can happen.
Decision OnPrimary(Decision decision) {
  return {Target::kPrimary, Reason::kRerun, decision.server, false};
}

Decision Unfenced(Decision decision) {
  decision.fence = FencePlan::kNone;
  return decision;
}

Decision ProbedFirst(Decision decision) {
  decision.fence = FencePlan::kProbeFirst;
  return decision;
}

struct Transition {
  Step operator()(const Idle&, const BatchReady& e) const {
    switch (e.decision.fence) {
      case FencePlan::kNone:
        break;
      case FencePlan::kProbeFirst:
        return {Fencing{e.decision}, {Do::kJoinFence}};
      case FencePlan::kOptimistic:
        return {Acquiring{e.decision}, {Do::kJoinFence, Do::kAcquire}};
    }
    return {Acquiring{e.decision}, {Do::kAcquire}};
  }

  Step operator()(const Fencing& s, const Proven& e) const {
    auto decision = Unfenced(s.decision);
    decision.server = e.server;
    return {Acquiring{decision}, {Do::kAcquire}};
  }
  Step operator()(const Fencing&, const Unproven&) const {
    return {Acquiring{{Target::kPrimary, Reason::kReplicaBehind}}, {Do::kAcquire}};
  }
  Step operator()(const Fencing&, const GaveUp&) const { return {Idle{}, {Do::kAnswerError}}; }

  Step operator()(const FencingHere& s, const Proven&) const {
    return {Relaying{Unfenced(s.decision), false, s.block, s.pin}, {Do::kSend}};
  }
  Step operator()(const FencingHere& s, const GaveUp&) const {
    if (s.pin == PinReason::kNone && s.block) return {FailedBlock{}, {Do::kCloseServer, Do::kAnswerError}};
    return {Closed{}, {Do::kCloseClient}};
  }
  Step operator()(const FencingHere& s, const ServerLost&) const {
    if (s.pin == PinReason::kNone && s.block) return {FailedBlock{}, {Do::kAnswerError}};
    return {Closed{}, {Do::kCloseClient}};
  }

  Step operator()(const Acquiring& s, const Behind&) const { return {Fencing{ProbedFirst(s.decision)}}; }
  Step operator()(const Acquiring& s, const Leased&) const {
    return {Relaying{s.decision}, {Do::kSend}};
  }
  Step operator()(const Acquiring&, const NoLease&) const { return {Idle{}, {Do::kAnswerError}}; }
  Step operator()(const Acquiring&, const Rerouted& e) const {
    return {Acquiring{e.decision}, {Do::kAcquire}};
  }

  Step operator()(Relaying s, const Forwarding&) const {
    s.forwarded = true;
    return {s};
  }
  Step operator()(const Relaying& s, const HeldError&) const {
    if (!s.decision.may_rerun || s.forwarded || s.block) return {s};
    return {Discarding{s.decision}, {Do::kDiscard}};
  }
  Step operator()(const Relaying& s, const Refuted&) const {
    if (!s.decision.may_rerun || s.forwarded || s.block) return {s};
    return {Discarding{ProbedFirst(s.decision), true}, {Do::kDiscard}};
  }
  Step operator()(const Relaying& s, const BatchDone& e) const {
    const auto pin = e.pin != PinReason::kNone || e.unpinned ? e.pin : s.pin;
    if (e.status != 'I') return {InBlock{pin}};
    if (pin != PinReason::kNone) return {Pinned{pin}};
    return {Idle{}, {Do::kRelease}};
  }
  Step operator()(const Relaying& s, const ServerLost& e) const {
    if (e.mid_message) return {Closed{}, {Do::kCloseClient}};
    if (s.decision.may_rerun && !s.forwarded && !s.block)
      return {Acquiring{OnPrimary(s.decision)}, {Do::kAcquire}};
    if (s.pin != PinReason::kNone) return {Closed{}, {Do::kCloseClient}};
    if (s.block) return {FailedBlock{}, {Do::kAnswerError}};
    return {Idle{}, {Do::kAnswerError}};
  }

  Step operator()(const Discarding& s, const BatchDone& e) const {
    if (s.refuted)
      return {Fencing{s.decision}, {e.status == 'I' ? Do::kRelease : Do::kCloseServer, Do::kJoinFence}};
    return {Acquiring{OnPrimary(s.decision)},
            {e.status == 'I' ? Do::kRelease : Do::kCloseServer, Do::kAcquire}};
  }
  Step operator()(const Discarding& s, const ServerLost&) const {
    if (s.refuted) return {Fencing{s.decision}, {Do::kJoinFence}};
    return {Acquiring{OnPrimary(s.decision)}, {Do::kAcquire}};
  }

  Step operator()(const InBlock& s, const BatchReady& e) const {
    if (e.decision.fence != FencePlan::kNone) return {FencingHere{e.decision, true, s.pin}, {Do::kJoinFence}};
    return {Relaying{e.decision, false, true, s.pin}, {Do::kSend}};
  }
  Step operator()(const InBlock& s, const ServerLost&) const {
    if (s.pin != PinReason::kNone) return {Closed{}, {Do::kCloseClient}};
    return {FailedBlock{}};
  }

  Step operator()(const Pinned& s, const BatchReady& e) const {
    if (e.decision.fence != FencePlan::kNone) return {FencingHere{e.decision, false, s.why}, {Do::kJoinFence}};
    return {Relaying{e.decision, false, false, s.why}, {Do::kSend}};
  }
  Step operator()(const Pinned&, const ServerLost&) const {
    return {Closed{}, {Do::kCloseClient}};
  }

  Step operator()(const FailedBlock& s, const BatchReady&) const {
    return {s, {Do::kAnswerFailed}};
  }
  Step operator()(const FailedBlock&, const BlockEnded&) const {
    return {Idle{}, {Do::kAnswerRollback}};
  }

  Step operator()(const Closed& s, const ClientGone&) const { return {s}; }
  Step operator()(const Idle&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Acquiring&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const FailedBlock&, const ClientGone&) const { return {Closed{}}; }
  Step operator()(const Fencing&, const ClientGone&) const { return {Closed{}}; }
  template <class S>
  Step operator()(const S&, const ClientGone&) const {
    return {Closed{}, {Do::kCloseServer}};
  }

  template <class S, class E>
  Step operator()(const S& s, const E&) const {
    return {s};
  }
};

}  // namespace

Step Advance(const State& state, const Event& event) { return std::visit(Transition{}, state, event); }

std::string_view StateName(const State& state) {
  static constexpr std::string_view kNames[] = {"idle",    "acquiring", "relaying",     "discarding",
                                                "inblock", "pinned",    "failed_block", "closed", "fencing",
                                                "fencing_here"};
  return kNames[state.index()];
}

}  // namespace waypost
