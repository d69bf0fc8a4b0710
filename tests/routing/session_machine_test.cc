#include "routing/session_machine.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace waypost {
namespace {

const Decision kRead{Target::kReplica, Reason::kReadSafe, 2, true};
const Decision kOnce{Target::kReplica, Reason::kReadSafe, 1, false};
const Decision kWrite{Target::kPrimary, Reason::kWrite, 0, false};
const Decision kHeld{Target::kHeld, Reason::kInTransaction, 0, false};
const Decision kReadAgain{Target::kPrimary, Reason::kRerun, 2, false};
const Decision kCheck{Target::kPrimary, Reason::kSelfCheck, 2, false};
// The first batch of a block whose BEGIN was kept.
const Relaying kOpening{kRead, false, true, PinReason::kNone, true};
const Decision kProbe{Target::kReplica, Reason::kReadSafe, 2, true, FencePlan::kProbeFirst};
const Decision kAhead{Target::kReplica, Reason::kReadSafe, 2, true, FencePlan::kOptimistic};
const Decision kElsewhere{Target::kReplica, Reason::kReadSafe, 1, true};
const Decision kFenceHere{Target::kHeld, Reason::kInTransaction, 0, false, FencePlan::kProbeFirst};
const Decision kBehind{Target::kPrimary, Reason::kReplicaBehind};
// The same, of reads that settle before they run on the primary.
constexpr Decision Settles(Decision decision) {
  decision.settles = true;
  return decision;
}
// The same, once its server was lost.
constexpr Decision OnceMore(Decision decision) {
  decision.reason = Reason::kRerun;
  return decision;
}
constexpr auto kTemp = PinReason::kTemporaryTable;
constexpr auto kListen = PinReason::kListen;

std::string Text(const Decision& decision) {
  return std::string(TargetName(decision.target)) + " " + std::string(ReasonName(decision.reason)) + " " +
         std::to_string(decision.server) + (decision.may_rerun ? " rerun" : "") +
         (decision.fence == FencePlan::kProbeFirst   ? " probe first"
          : decision.fence == FencePlan::kOptimistic ? " optimistic"
                                                     : "") +
         (decision.settles ? " settles" : "");
}

// Everything that a state holds, as text.
struct StateText {
  std::string operator()(const Idle&) const { return ""; }
  std::string operator()(const Begun&) const { return ""; }
  std::string operator()(const Acquiring& s) const { return Text(s.decision) + (s.opens ? " opens" : ""); }
  std::string operator()(const Relaying& s) const {
    return Text(s.decision) + (s.forwarded ? " forwarded" : "") + (s.block ? " block" : "") + (s.opens ? " opens " : " ") +
           std::string(PinReasonName(s.pin));
  }
  std::string operator()(const Discarding& s) const { return Text(s.decision) + (s.opens ? " opens" : ""); }
  std::string operator()(const InBlock& s) const { return std::string(PinReasonName(s.pin)); }
  std::string operator()(const Pinned& s) const { return std::string(PinReasonName(s.why)); }
  std::string operator()(const Auditing& s) const { return std::string(PinReasonName(s.pin)); }
  std::string operator()(const FailedBlock&) const { return ""; }
  std::string operator()(const Fencing& s) const { return Text(s.decision) + (s.opens ? " opens" : ""); }
  std::string operator()(const Settling& s) const { return Text(s.decision) + (s.opens ? " opens" : ""); }
  std::string operator()(const FencingHere& s) const {
    return Text(s.decision) + (s.block ? " block" : "") + " " + std::string(PinReasonName(s.pin));
  }
  std::string operator()(const Closed&) const { return ""; }
};

std::string Text(const State& state) { return std::string(StateName(state)) + ": " + std::visit(StateText{}, state); }

std::vector<Do> Todo(const Step& step) {
  std::vector<Do> todo;
  for (const Do what : step.todo)
    if (what != Do::kNothing) todo.push_back(what);
  return todo;
}

struct Row {
  State state;
  Event event;
  State next;
  std::vector<Do> todo;
};

// The rows of the header, with what they depend on.
const std::vector<Row>& Rows() {
  static const std::vector<Row> kRows = {
      {Idle{}, BatchReady{kRead}, Acquiring{kRead}, {Do::kAcquire}},
      {Idle{}, Kept{}, Begun{}, {Do::kAnswerKept}},
      {Begun{}, Kept{}, Begun{}, {Do::kAnswerKept}},
      {Begun{}, BlockEnded{}, Idle{}, {Do::kAnswerKept}},
      {Begun{}, BatchReady{kRead}, Acquiring{kRead, true}, {Do::kAcquire}},
      {Begun{}, ClientGone{}, Closed{}, {}},
      {Acquiring{kRead, true}, Leased{}, kOpening, {Do::kSend}},
      {Acquiring{kRead, true}, NoLease{}, FailedBlock{}, {Do::kAnswerError}},
      {Acquiring{kRead, true}, Rerouted{kWrite}, Acquiring{kWrite, true}, {Do::kAcquire}},
      // The first batch of such a block may run again as a whole, BEGIN and all.
      {kOpening, HeldError{}, Discarding{kRead, true}, {Do::kDiscard}},
      {kOpening, ServerLost{}, Acquiring{kReadAgain, true}, {Do::kAcquire}},
      {kOpening, BatchDone{'T'}, InBlock{}, {}},
      {Relaying{kOnce, false, true, PinReason::kNone, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kRead, true, true, PinReason::kNone, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kOnce, false, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kOnce, false, true}, ServerLost{.ends_block = true}, Idle{}, {Do::kAnswerError}},
      {Relaying{kOnce, false, true}, ServerLost{.ends_block = true, .rolls_back = true}, Idle{}, {Do::kAnswerRollback}},
      {Discarding{kRead, true}, BatchDone{'E'}, Acquiring{kReadAgain, true}, {Do::kCloseServer, Do::kAcquire}},
      {Discarding{kRead, true}, ServerLost{}, Acquiring{kReadAgain, true}, {Do::kAcquire}},
      // The fence.
      {Idle{}, BatchReady{kProbe}, Fencing{kProbe}, {Do::kJoinFence}},
      {Idle{}, BatchReady{kAhead}, Acquiring{kAhead}, {Do::kJoinFence, Do::kAcquire}},
      {Begun{}, BatchReady{kProbe}, Fencing{kProbe, true}, {Do::kJoinFence}},
      {Fencing{kProbe}, Proven{1}, Acquiring{kElsewhere}, {Do::kAcquire}},
      {Fencing{kProbe, true}, Proven{1}, Acquiring{kElsewhere, true}, {Do::kAcquire}},
      {Fencing{kProbe}, Unproven{}, Acquiring{kBehind}, {Do::kAcquire}},
      {Fencing{kProbe, true}, Unproven{}, Acquiring{kBehind, true}, {Do::kAcquire}},
      {Fencing{kProbe}, GaveUp{}, Idle{}, {Do::kAnswerError}},
      {Fencing{kProbe, true}, GaveUp{}, FailedBlock{}, {Do::kAnswerError}},
      {Fencing{kProbe}, ClientGone{}, Closed{}, {}},
      {Acquiring{kAhead}, Behind{}, Fencing{kProbe}, {}},
      {Acquiring{kRead, true}, Behind{}, Fencing{kProbe, true}, {}},
      {Relaying{kAhead}, Refuted{}, Discarding{kProbe, false, true}, {Do::kDiscard}},
      {Relaying{kAhead, true}, Refuted{}, Relaying{kAhead, true}, {}},
      {Relaying{kRead}, CheckDue{}, Discarding{kCheck}, {}},
      {Relaying{kCheck}, CheckDue{}, Discarding{kCheck}, {}},
      {Relaying{kOnce}, CheckDue{}, Relaying{kOnce}, {}},
      {Relaying{kWrite}, CheckDue{}, Relaying{kWrite}, {}},
      {Relaying{kRead, true}, CheckDue{}, Relaying{kRead, true}, {}},
      {kOpening, CheckDue{}, kOpening, {}},
      {Discarding{kCheck}, BatchDone{'I'}, Acquiring{kCheck}, {Do::kRelease, Do::kAcquire}},
      {Relaying{kCheck}, ServerLost{}, Idle{}, {Do::kAnswerError}},
      {Discarding{kProbe, false, true}, BatchDone{'I'}, Fencing{kProbe}, {Do::kRelease, Do::kJoinFence}},
      {Discarding{kProbe, false, true}, BatchDone{'E'}, Fencing{kProbe}, {Do::kCloseServer, Do::kJoinFence}},
      {Discarding{kProbe, false, true}, ServerLost{}, Fencing{kProbe}, {Do::kJoinFence}},
      {InBlock{}, BatchReady{kFenceHere}, FencingHere{kFenceHere, true}, {Do::kJoinFence}},
      {Pinned{kTemp}, BatchReady{kFenceHere}, FencingHere{kFenceHere, false, kTemp}, {Do::kJoinFence}},
      {FencingHere{kFenceHere, true}, Proven{2}, Relaying{kHeld, false, true}, {Do::kSend}},
      {FencingHere{kFenceHere, false, kTemp}, Proven{2}, Relaying{kHeld, false, false, kTemp}, {Do::kSend}},
      {FencingHere{kFenceHere, true}, GaveUp{}, FailedBlock{}, {Do::kCloseServer, Do::kAnswerError}},
      {FencingHere{kFenceHere, false, kTemp}, GaveUp{}, Closed{}, {Do::kCloseServer, Do::kCloseClient}},
      {FencingHere{kFenceHere, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {FencingHere{kFenceHere, true, kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {FencingHere{kFenceHere, true}, ServerLost{true}, Closed{}, {Do::kCloseClient}},
      {FencingHere{kFenceHere, true}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {FencingHere{kFenceHere, true}, Moved{}, Begun{}, {Do::kCloseServer}},
      {FencingHere{kFenceHere, true, kTemp}, Moved{}, FencingHere{kFenceHere, true, kTemp}, {}},
      {InBlock{}, Moved{}, Begun{}, {Do::kCloseServer}},
      {InBlock{kTemp}, Moved{}, InBlock{kTemp}, {}},
      {InBlock{}, BatchReady{Settles(kHeld)}, FencingHere{Settles(kHeld), true}, {Do::kSettle}},
      {Pinned{kTemp}, BatchReady{Settles(kHeld)}, FencingHere{Settles(kHeld), false, kTemp}, {Do::kSettle}},
      {FencingHere{Settles(kHeld), true}, Settled{}, Relaying{kHeld, false, true}, {Do::kSend}},
      {FencingHere{Settles(kHeld), false, kTemp}, Settled{}, Relaying{kHeld, false, false, kTemp}, {Do::kSend}},
      // What settles does so wherever it comes from, once, and never on its way to a replica.
      {Idle{}, BatchReady{Settles(kWrite)}, Settling{Settles(kWrite)}, {Do::kSettle}},
      {Begun{}, BatchReady{Settles(kWrite)}, Settling{Settles(kWrite), true}, {Do::kSettle}},
      {Idle{}, BatchReady{Settles(kRead)}, Acquiring{Settles(kRead)}, {Do::kAcquire}},
      {Settling{Settles(kBehind)}, Settled{}, Acquiring{kBehind}, {Do::kAcquire}},
      {Settling{Settles(kBehind), true}, Settled{}, Acquiring{kBehind, true}, {Do::kAcquire}},
      {Settling{Settles(kBehind)}, GaveUp{}, Idle{}, {Do::kAnswerError}},
      {Settling{Settles(kBehind), true}, GaveUp{}, FailedBlock{}, {Do::kAnswerError}},
      {Settling{Settles(kBehind)}, ClientGone{}, Closed{}, {}},
      {Fencing{Settles(kProbe)}, Unproven{}, Settling{Settles(kBehind)}, {Do::kSettle}},
      {Fencing{Settles(kProbe)}, Proven{1}, Acquiring{Settles(kElsewhere)}, {Do::kAcquire}},
      {Acquiring{Settles(kRead)}, Rerouted{kWrite}, Settling{Settles(kWrite)}, {Do::kSettle}},
      {Relaying{Settles(kRead)}, ServerLost{}, Settling{Settles(kReadAgain)}, {Do::kSettle}},
      {Discarding{Settles(kRead)}, BatchDone{'I'}, Settling{Settles(kReadAgain)}, {Do::kRelease, Do::kSettle}},
      {Discarding{Settles(kRead)}, ServerLost{}, Settling{Settles(kReadAgain)}, {Do::kSettle}},
      // A later part of the same batch.
      {Relaying{kHeld, false, true}, Continued{}, FencingHere{kFenceHere, true}, {Do::kJoinFence}},
      {Relaying{kHeld, false, true, kTemp}, Continued{}, FencingHere{kFenceHere, true, kTemp}, {Do::kJoinFence}},
      {Acquiring{kRead}, Leased{}, Relaying{kRead}, {Do::kSend}},
      {Acquiring{kRead}, NoLease{}, Idle{}, {Do::kAnswerError}},
      {Acquiring{kRead}, Rerouted{kWrite}, Acquiring{kWrite}, {Do::kAcquire}},
      {Relaying{kRead}, HeldError{}, Discarding{kRead}, {Do::kDiscard}},
      // No second run: not repeatable, begun to be answered, or part of a block.
      {Relaying{kOnce}, HeldError{}, Relaying{kOnce}, {}},
      {Relaying{kOnce}, HeldError{.unbegun = true}, Discarding{kOnce}, {Do::kDiscard}},
      {Relaying{kOnce, false, true}, HeldError{.unbegun = true}, Relaying{kOnce, false, true}, {}},
      {Relaying{kOnce, false, false, kTemp}, HeldError{.unbegun = true}, Relaying{kOnce, false, false, kTemp}, {}},
      {Relaying{kRead, true}, HeldError{}, Relaying{kRead, true}, {}},
      {Relaying{kRead, false, true}, HeldError{}, Relaying{kRead, false, true}, {}},
      {Relaying{kRead}, Forwarding{}, Relaying{kRead, true}, {}},
      {Relaying{kRead, true}, BatchDone{'I'}, Idle{}, {Do::kRelease}},
      {Relaying{kRead, false, true}, BatchDone{'I'}, Idle{}, {Do::kRelease}},
      {Relaying{kWrite}, BatchDone{'T'}, InBlock{}, {}},
      {Relaying{kWrite}, BatchDone{'E'}, InBlock{}, {}},
      {Relaying{kWrite}, BatchDone{'I', kTemp}, Pinned{kTemp}, {}},
      {Relaying{kWrite}, BatchDone{'T', kTemp}, InBlock{kTemp}, {}},
      {Relaying{kHeld, true, true}, BatchDone{'I', kTemp, false, false, true}, Idle{}, {Do::kCloseServer}},
      {Relaying{kHeld, true, true, kTemp}, BatchDone{.replica = true}, Idle{}, {Do::kCloseServer}},
      {Relaying{kHeld, true, true}, BatchDone{'T', kTemp, false, false, true}, InBlock{kTemp}, {}},
      {Relaying{kHeld, true, true}, BatchDone{.replica = true}, Idle{}, {Do::kRelease}},
      // A pin outlives the batches behind it, until DISCARD ALL.
      {Relaying{kHeld, true, false, kTemp}, BatchDone{'I'}, Pinned{kTemp}, {}},
      {Relaying{kHeld, true, true, kTemp}, BatchDone{'T'}, InBlock{kTemp}, {}},
      {Relaying{kHeld, true, false, kTemp}, BatchDone{'I', kListen}, Pinned{kListen}, {}},
      {Relaying{kHeld, true, false, kTemp}, BatchDone{'I', PinReason::kNone, true}, Idle{}, {Do::kRelease}},
      {Relaying{kHeld, true, false, kTemp}, BatchDone{'I', kListen, true}, Pinned{kListen}, {}},
      {Relaying{kRead}, ServerLost{}, Acquiring{kReadAgain}, {Do::kAcquire}},
      {Relaying{kRead, true}, ServerLost{}, Idle{}, {Do::kAnswerError}},
      {Relaying{kOnce}, ServerLost{}, Idle{}, {Do::kAnswerError}},
      // Nothing of it was heard: it runs again, but not in a block that others have seen, nor where something is tied.
      {Relaying{kWrite}, ServerLost{.unheard = true}, Acquiring{OnceMore(kWrite)}, {Do::kAcquire}},
      {Relaying{Settles(kWrite)}, ServerLost{.unheard = true}, Settling{Settles(OnceMore(kWrite))}, {Do::kSettle}},
      {Relaying{kWrite, false, true, PinReason::kNone, true},
       ServerLost{.unheard = true},
       Acquiring{OnceMore(kWrite), true},
       {Do::kAcquire}},
      {Relaying{kHeld, false, true}, ServerLost{.unheard = true}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kHeld, false, false, kTemp}, ServerLost{.unheard = true}, Closed{}, {Do::kCloseClient}},
      {Relaying{kWrite, true}, ServerLost{.unheard = true}, Idle{}, {Do::kAnswerError}},
      {Relaying{kHeld, false, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kRead, false, true}, ServerLost{}, FailedBlock{}, {Do::kAnswerError}},
      {Relaying{kHeld, false, false, kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {Relaying{kHeld, false, true, kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {Relaying{kRead}, ServerLost{true}, Closed{}, {Do::kCloseClient}},
      {Relaying{kHeld, true, true}, ServerLost{true}, Closed{}, {Do::kCloseClient}},
      {Discarding{kRead}, BatchDone{'I'}, Acquiring{kReadAgain}, {Do::kRelease, Do::kAcquire}},
      {Discarding{kRead}, BatchDone{'T'}, Acquiring{kReadAgain}, {Do::kCloseServer, Do::kAcquire}},
      {Discarding{kRead}, BatchDone{'E'}, Acquiring{kReadAgain}, {Do::kCloseServer, Do::kAcquire}},
      {Discarding{kRead}, ServerLost{}, Acquiring{kReadAgain}, {Do::kAcquire}},
      {Discarding{kRead}, ServerLost{true}, Acquiring{kReadAgain}, {Do::kAcquire}},
      // What ties the session is asked of the server outside a block alone.
      {Relaying{kWrite}, BatchDone{'I', kTemp, false, true}, Auditing{kTemp}, {Do::kAudit}},
      {Relaying{kWrite}, BatchDone{'T', kTemp, false, true}, InBlock{kTemp}, {}},
      {Relaying{kHeld, true, false, kTemp}, BatchDone{'I', PinReason::kNone, false, true}, Auditing{kTemp}, {Do::kAudit}},
      {Auditing{kTemp}, Audited{kListen}, Pinned{kListen}, {}},
      {Auditing{kTemp}, Audited{}, Idle{}, {Do::kRelease}},
      {Auditing{kTemp}, Audited{PinReason::kNone, true}, Idle{}, {Do::kRelease}},
      {Auditing{kTemp}, Audited{kListen, true}, Idle{}, {Do::kCloseServer}},
      {Auditing{kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {Auditing{kTemp}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {InBlock{}, BatchReady{kHeld}, Relaying{kHeld, false, true}, {Do::kSend}},
      {InBlock{kTemp}, BatchReady{kHeld}, Relaying{kHeld, false, true, kTemp}, {Do::kSend}},
      {InBlock{}, Kept{}, Begun{}, {Do::kCloseServer, Do::kAnswerKept}},
      {InBlock{}, ServerLost{}, FailedBlock{}, {}},
      {InBlock{kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {Pinned{kTemp}, BatchReady{kHeld}, Relaying{kHeld, false, false, kTemp}, {Do::kSend}},
      {Pinned{kTemp}, ServerLost{}, Closed{}, {Do::kCloseClient}},
      {FailedBlock{}, BatchReady{kWrite}, FailedBlock{}, {Do::kAnswerFailed}},
      {FailedBlock{}, BlockEnded{}, Idle{}, {Do::kAnswerRollback}},
      {Idle{}, ClientGone{}, Closed{}, {}},
      {Acquiring{kRead}, ClientGone{}, Closed{}, {}},
      {Relaying{kRead}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {Discarding{kRead}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {InBlock{}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {Pinned{kTemp}, ClientGone{}, Closed{}, {Do::kCloseServer}},
      {FailedBlock{}, ClientGone{}, Closed{}, {}},
  };
  return kRows;
}

const std::vector<State>& EveryState() {
  static const std::vector<State> kStates = {Fencing{kProbe},
                                             FencingHere{kFenceHere, true},
                                             Settling{Settles(kBehind)},
                                             Idle{},
                                             Begun{},
                                             Acquiring{kRead},
                                             Relaying{kRead},
                                             Discarding{kRead},
                                             InBlock{},
                                             Pinned{kTemp},
                                             Auditing{kTemp},
                                             FailedBlock{},
                                             Closed{}};
  return kStates;
}

const std::vector<Event>& EveryEvent() {
  static const std::vector<Event> kEvents = {
      Proven{2},         Unproven{},  Settled{}, GaveUp{},     Behind{},         Refuted{},   CheckDue{},
      BatchReady{kRead}, Kept{},      Leased{},  NoLease{},    Rerouted{kWrite}, HeldError{}, Continued{},
      Forwarding{},      BatchDone{}, Audited{}, ServerLost{}, BlockEnded{},     Moved{},     ClientGone{}};
  return kEvents;
}

Event AnyEvent(std::mt19937& random) {
  const auto any = [&random](unsigned bound) { return random() % bound; };
  const auto pin = [&] { return any(4) == 0 ? kTemp : PinReason::kNone; };
  switch (any(21)) {
    case 19: return Settled{};
    case 20: return CheckDue{};
    case 18: return Continued{};
    case 0:
      return BatchReady{std::array{kRead, kWrite, kProbe, kAhead, kFenceHere, Settles(kRead), Settles(kProbe), Settles(kWrite),
                                   Settles(kHeld)}[any(9)]};
    case 11: return Proven{1};
    case 12: return Unproven{};
    case 13: return GaveUp{};
    case 14: return Behind{};
    case 15: return Refuted{};
    case 1: return Leased{};
    case 2: return NoLease{};
    case 3: return Rerouted{kWrite};
    case 4: return HeldError{};
    case 5: return Forwarding{};
    case 6: return BatchDone{"ITE"[any(3)], pin(), any(4) == 0, any(3) == 0, any(4) == 0};
    case 7: return ServerLost{any(4) == 0, any(4) == 0};
    case 8: return BlockEnded{};
    case 9: return Kept{};
    case 10: return Audited{pin(), any(4) == 0};
    default: return any(8) == 0 ? Event{ClientGone{}} : Event{Forwarding{}};
  }
}

// What core/ would hold if it did what the machine says; complains where that cannot be done.
struct Held {
  bool asked = false, connection = false, answering = false, closed = false;

  void Before(const Event& event) {
    if (std::holds_alternative<Leased>(event)) connection = std::exchange(asked, false);
    if (std::holds_alternative<NoLease>(event) || std::holds_alternative<Rerouted>(event)) asked = false;
    if (std::holds_alternative<ServerLost>(event)) connection = false;
    if (std::holds_alternative<BatchReady>(event) || std::holds_alternative<Kept>(event)) answering = true;
    if (std::holds_alternative<BatchDone>(event)) answering = false;
  }
  void Carry(Do what) {
    CAPTURE(int(what));
    CHECK_FALSE(closed);
    switch (what) {
      case Do::kNothing:
      case Do::kJoinFence:
      case Do::kSettle: break;
      case Do::kAcquire:
        CHECK_FALSE(connection);
        asked = true;
        break;
      case Do::kSend:
      case Do::kAudit: CHECK(connection); break;
      case Do::kDiscard: CHECK(connection); break;
      case Do::kAnswerError:
      case Do::kAnswerFailed:
      case Do::kAnswerKept:
      case Do::kAnswerRollback: answering = false; break;
      case Do::kRelease:
      case Do::kCloseServer:
        CHECK(connection);  // and so never twice
        connection = false;
        break;
      case Do::kCloseClient: CHECK_FALSE(connection); break;
    }
  }
};

// Events that core/ can give in a state: what it holds decides.
bool CanHappen(const State& state, const Event& event, const Held& held) {
  if (std::holds_alternative<Leased>(event) || std::holds_alternative<NoLease>(event) || std::holds_alternative<Rerouted>(event))
    return held.asked;
  if (std::holds_alternative<ServerLost>(event)) return held.connection;
  if (std::holds_alternative<Behind>(event)) return held.asked;
  // It holds its connection for good.
  if (std::holds_alternative<Continued>(event))
    return std::holds_alternative<Relaying>(state) && std::get<Relaying>(state).decision.target == Target::kHeld;
  if (const auto* ready = std::get_if<BatchReady>(&event)) {
    // A block is fenced where it is, anything else where it goes.
    const bool waits = ready->decision.fence != FencePlan::kNone || ready->decision.settles;
    if ((ready->decision.target == Target::kHeld) != held.connection && waits) return false;
    if (std::holds_alternative<Fencing>(state) || std::holds_alternative<FencingHere>(state) ||
        std::holds_alternative<Settling>(state))
      return false;
  }
  if (std::holds_alternative<Kept>(event)) return std::holds_alternative<Idle>(state) || std::holds_alternative<Begun>(state);
  if (std::holds_alternative<BatchReady>(event))
    return !held.asked && !std::holds_alternative<Relaying>(state) && !std::holds_alternative<Discarding>(state) &&
           !std::holds_alternative<Auditing>(state);
  if (std::holds_alternative<BatchDone>(event))
    return std::holds_alternative<Relaying>(state) || std::holds_alternative<Discarding>(state);
  return true;
}

}  // namespace

TEST_CASE("each row of the transition table holds", "[routing][session_machine]") {
  for (const Row& row : Rows()) {
    CAPTURE(Text(row.state), row.event.index());
    const auto step = Advance(row.state, row.event);
    CHECK(Text(step.next) == Text(row.next));
    CHECK(Todo(step) == row.todo);
    CHECK(step.expected);
  }
}

TEST_CASE("an event without a row changes nothing, and is told from one that has one", "[routing][session_machine]") {
  std::set<std::pair<std::size_t, std::size_t>> rows;
  for (const Row& row : Rows()) rows.insert({row.state.index(), row.event.index()});
  std::size_t without = 0;
  for (const State& state : EveryState()) {
    for (const Event& event : EveryEvent()) {
      if (rows.count({state.index(), event.index()}) > 0) continue;
      CAPTURE(Text(state), event.index());
      const auto step = Advance(state, event);
      CHECK(Text(step.next) == Text(state));
      CHECK(Todo(step).empty());
      // A client may be lost while it is being closed.
      CHECK(step.expected == (std::holds_alternative<Closed>(state) && std::holds_alternative<ClientGone>(event)));
      ++without;
    }
  }
  CHECK(rows.size() + without == EveryState().size() * EveryEvent().size());
}

TEST_CASE("every event has a name of its own", "[routing][session_machine]") {
  std::set<std::string_view> names;
  for (const Event& event : EveryEvent()) names.insert(EventName(event));
  CHECK(names.size() == std::variant_size_v<Event>);
}

TEST_CASE("every state has a name of its own", "[routing][session_machine]") {
  std::set<std::string_view> names;
  for (const State& state : EveryState()) names.insert(StateName(state));
  CHECK(names.size() == std::variant_size_v<State>);
}

TEST_CASE("a statement that runs again does so on the primary, and only once more", "[routing][session_machine]") {
  const Event first = GENERATE(Event{ServerLost{}}, Event{HeldError{}});
  auto state = Advance(Relaying{kRead}, first).next;
  if (std::holds_alternative<Discarding>(state)) state = Advance(state, BatchDone{'I'}).next;
  state = Advance(state, Leased{}).next;
  CHECK(Text(state) == Text(State{Relaying{kReadAgain}}));
  CHECK(Text(Advance(state, HeldError{}).next) == Text(state));
  CHECK(Todo(Advance(state, ServerLost{})) == std::vector{Do::kAnswerError});
}

TEST_CASE("nothing happens to a closed session", "[routing][session_machine]") {
  for (const Event& event : EveryEvent()) {
    const auto step = Advance(Closed{}, event);
    CHECK(std::holds_alternative<Closed>(step.next));
    CHECK(Todo(step).empty());
  }
}

TEST_CASE("whatever happens, a connection is asked for, held and given back in turn", "[routing][session_machine]") {
  const auto seed = GENERATE(range(0U, 200U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  State state;
  Held held;
  for (int i = 0; i < 300; ++i) {
    const auto event = AnyEvent(random);
    if (!CanHappen(state, event, held)) continue;
    CAPTURE(i, Text(state), event.index());
    held.Before(event);
    const auto step = Advance(state, event);
    for (const Do what : Todo(step)) held.Carry(what);
    state = step.next;
    held.closed = std::holds_alternative<Closed>(state);
    if (std::holds_alternative<Fencing>(state)) held.asked = false;  // the same
    if (held.closed) held.asked = false;  // core/ leaves the queue of the pool
    CHECK(held.asked == std::holds_alternative<Acquiring>(state));
    CHECK(held.connection == (std::holds_alternative<Relaying>(state) || std::holds_alternative<Discarding>(state) ||
                              std::holds_alternative<InBlock>(state) || std::holds_alternative<Auditing>(state) ||
                              std::holds_alternative<Pinned>(state) || std::holds_alternative<FencingHere>(state)));
    if (std::holds_alternative<Idle>(state)) CHECK_FALSE(held.answering);
  }
}

}  // namespace waypost
