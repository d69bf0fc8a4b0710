// Reads on replicas and their proof: joining the fence, waiting for a replica, and what becomes of an answer that came
// before its proof. What is to be proved: routing/fence.h.
#include "core/base/release.h"
#include "core/session/paused.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

// Shorter runs have ended before a cancel request would get there.
constexpr milliseconds kLongRun{200};

}  // namespace

void Session::JoinFence() {
  if (fence_since == TimePoint{}) fence_since = env_.ExactNow();
  if (proof_.index_known()) return AwaitReplica();
  common_.fence.Join(*this);
}

void Session::LeaveFence() {
  if (ticket == 0 && settle_round == 0) return;
  common_.fence.Leave(*this);
  ticket = 0;
  settle_round = 0;
  proof_.Clear();
  fence_since = waiting_from = {};
  fence_deadline = TimePoint::max();
}

void Session::CountFence(FenceOutcome outcome) {
  auto& metrics = env_.metrics();
  const auto took = env_.ExactNow() - fence_since;
  metrics.Count(Counter::kFencedReads, outcome);
  metrics.Observe(Histogram::kFenceWait, outcome, took);
  if (batch_) batch_->fence_wait += took;
}

// The index is known: goes to a replica that has reached it, or waits for one.
void Session::AwaitReplica() {
  const auto& fence = common_.fence.fence();
  std::optional<ServerId> server;
  if (In<FencingHere>()) {
    const auto seen = fence.SeenOf(connection_->id());
    if (seen.incarnation != 0 && seen.replay >= read_index) server = connection_->id();
  } else {
    server = ReplicaBehind(read_index, env_.view(), Policy(), common_.LoadFor(database_, user_), env_.Now());
  }
  if (server) {
    CountFence(waiting_from == TimePoint{} ? FenceOutcome::kReady : FenceOutcome::kWaited);
    proof_.ProvedIn(fence.SeenOf(*server).incarnation);
    const bool here = In<FencingHere>();
    if (!here) {
      auto decision = std::get<Fencing>(state_).decision;
      decision.server = *server;
      CountDecision(AllHeld(env_, database_) ? PrimaryInstead(decision) : decision);
    }
    Take(Proven{*server});
    // What belongs to the running batch may wait in the input.
    if (here && !input_.empty()) ProcessInput();
    return;
  }
  if (!In<FencingHere>() && !WorthWaiting(env_.view(), Policy(), fence, env_.Now())) return FallBack();
  if (fence_deadline == TimePoint::max()) {
    const bool stays = In<FencingHere>() && !BlockMayMove();
    const auto longest = stays ? policy_.pool.query_wait_timeout : Policy().fence_wait;
    if (!stays || longest.count() > 0) fence_deadline = env_.ExactNow() + longest;
  }
  common_.fence.WaitForReplay(*this, fence_deadline);
}

void Session::OnReadIndex(Lsn index) noexcept {
  proof_.NoteIndex();
  if (check_ != nullptr && CheckFrom(index)) return;
  if (In<Fencing>() || In<FencingHere>()) return AwaitReplica();
  if (In<Acquiring>()) {  // to be sent at once, but there is no connection yet
    const auto server = std::get<Acquiring>(state_).decision.server;
    if (common_.fence.fence().SeenOf(server).replay >= index) return;  // OnServerConnection finds it proved
    wait_.Leave();
    Take(Behind{});
    return AwaitReplica();
  }
  if (!held_.unproved()) return;
  const auto proof = common_.fence.fence().Check(ticket, connection_->id(), proof_.seen_at_send());
  if (proof == Proof::kProven) Confirm();
  else Refute();
}

void Session::OnReplayed() noexcept { AwaitReplica(); }

void Session::OnFenceLate() noexcept {
  if (In<FencingHere>()) return LeaveReplica("the replica that this transaction reads from did not catch up in time");
  FallBack();
}

// What it holds it has held since it began to wait, at least: it has done nothing since.
bool Session::WaitsForItself() const noexcept {
  return In<FencingHere>() && OnReplica() &&
         HeldUpBy(env_.view().servers[connection_->id()], connection_->login().pid(), fence_since);
}

void Session::OnWaitsForItself() noexcept {
  LeaveReplica("the replica that this transaction reads from cannot catch up because of what this transaction holds there");
}

// The block goes on elsewhere, or it fails.
void Session::LeaveReplica(std::string_view why) {
  if (!BlockMayMove()) {
    CountFence(FenceOutcome::kGaveUp);
    return GiveUpFence("40001", why);
  }
  CountFence(FenceOutcome::kFellBack);
  MoveBlock();
  Dispatch();
}

// No replica can be proved fresh in time.
void Session::FallBack() {
  if (check_ != nullptr) EndCheck(SelfCheckOutcome::kElsewhere);
  if (Policy().read_from_primary == ReadFromPrimary::kNever) {
    CountFence(FenceOutcome::kGaveUp);
    return GiveUpFence("57P03", "no replica caught up in time, and read_from_primary = \"never\"");
  }
  CountFence(FenceOutcome::kFellBack);
  LeaveFence();
  CountDecision({Target::kPrimary, Reason::kReplicaBehind});
  Take(Unproven{});
}

// The batch runs on the primary next, where it must see no less than a replica has shown.
void Session::SettleFirst() {
  if (!common_.fence.JoinSettle(*this)) return Take(Settled{});
  TimeWait(Batch::Wait::kFence);
}

void Session::OnSettled() noexcept {
  settle_round = 0;
  EndWait();
  const bool here = In<FencingHere>();
  Take(Settled{});
  // What belongs to the running batch may wait in the input.
  if (here && !closed_ && !input_.empty()) ProcessInput();
}

bool Session::Proving() const { return In<Fencing>() || In<FencingHere>() || In<Settling>(); }

bool Session::SettlesHere() const { return In<FencingHere>() && settle_round != 0; }

void Session::GiveUpFence(std::string_view sqlstate, std::string_view message) {
  LeaveFence();
  env_.metrics().Count(Counter::kErrors, ErrorOrigin::kProxy, SqlStateClassIndex(sqlstate));
  failure_ = ErrorMessage({.sqlstate = sqlstate, .message = message});
  if (In<FencingHere>() && batch_->begun) {  // answers to its earlier parts may be under way
    auto* lost = connection_;
    lost->EndLease();
    Lost(EndWaits(), lost->mid_message());
    return lost->OnClosed("what was to be sent on it could not be proved fresh");
  }
  Take(GaveUp{});
  if (!closed_) ProcessInput();
}

// A later part of a series without its Sync takes a snapshot of its own, unless the block keeps to its first: on a replica
// it is gathered up to a Flush or its end, and proved like a batch.
bool Session::ProvesParts() const {
  const auto consistency = Policy().consistency;
  return In<Relaying>() && FactsOfSession().held_by_replica && !FactsOfSession().snapshot_taken &&
         !connection_->ledger().Skipping() && (consistency == Consistency::kStrict || consistency == Consistency::kBounded);
}

void Session::SendPart() {
  if (!std::exchange(batch_->facts.needs_fence, false)) return Send();
  batch_->fenced = true;
  LeaveFence();
  Take(Continued{});
}

void Session::OnFenceVoid() noexcept {
  if (check_ != nullptr && check_->position_only() && In<Fencing>()) return GiveUpCheck();
  if (In<FencingHere>()) return common_.fence.Join(*this);  // there is nowhere else to go: it waits for the next epoch
  if (In<Acquiring>()) {
    wait_.Leave();
    Take(Behind{});
  }
  if (In<Fencing>()) return FallBack();
  if (!held_.unproved()) return;
  env_.metrics().Count(Counter::kFenceThrownAway, connection_->id());
  CountFence(FenceOutcome::kFellBack);
  LeaveFence();
  if (check_ != nullptr) EndCheck(SelfCheckOutcome::kElsewhere);
  Take(HeldError{});
  Discard();
}

// Before a connection is leased: may the batch be sent on it now?
bool Session::MaySendOn(const ServerConnection& connection) {
  const auto& decision = std::get<Acquiring>(state_).decision;
  if (ticket == 0 || decision.target != Target::kReplica) return true;
  const auto seen = common_.fence.fence().SeenOf(connection.id());
  if (decision.fence != FencePlan::kOptimistic) {
    if (proof_.HoldsFor(seen)) return true;
    fence_since = env_.ExactNow();  // it was proved and counted; what follows is another wait
    return false;
  }
  if (seen.incarnation == 0 || (proof_.index_known() && seen.replay < read_index)) return false;
  if (proof_.index_known()) {
    CountFence(FenceOutcome::kConfirmed);
  } else {
    proof_.SentUnproved(seen);
    held_.AwaitProof();
  }
  return true;
}

void Session::Confirm() {
  CountFence(FenceOutcome::kConfirmed);
  connection_->PauseReading(false, Stream::kBusy);
  if (held_.Proved()) ReleaseHeld();
  if (const auto status = held_.TakeEnd()) OnBatchDone(*status);
}

void Session::Refute() {
  env_.metrics().Count(Counter::kFenceThrownAway, connection_->id());
  Take(Refuted{});
  Discard();
}

// What is held is thrown away, and what still comes of this run.
void Session::Discard() {
  const bool paused = held_.too_long();
  if (const auto status = held_.Drop()) return OnBatchDone(*status);
  if (!paused) return;
  // So much more may follow that another connection costs less.
  auto* lost = connection_;
  lost->EndLease();
  Lost(true, false);
  lost->OnClosed("its answer was thrown away");
}

// A run that does not count and takes long is not waited for.
void Session::CutShort(TimePoint now) {
  if (!std::get<Discarding>(state_).refuted || batch_->cut_short || now - batch_->sent_at < kLongRun) return;
  batch_->cut_short = true;
  common_.cancels.Send(*connection_);
}

}  // namespace waypost
