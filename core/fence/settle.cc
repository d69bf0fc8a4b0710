#include "core/fence/settle.h"

#include <algorithm>
#include <utility>

#include "core/env/env.h"
#include "core/fence/probe.h"

namespace waypost {
namespace {

// A read waits for no longer than this: a commit may wait for a standby that is gone.
constexpr milliseconds kLongest{250};

}  // namespace

FenceSettle::FenceSettle(Env& env) : env_(env), timer_(env.loop(), [this] { OnTimer(); }) {}

void FenceSettle::Join(FenceUser& user, TimePoint now) {
  user.settle_round = settle_.Join();
  user.settling_since = now;
  user.fence_place = FenceUser::Place::kSettling;
  users_.push_back(&user);
}

void FenceSettle::Leave(FenceUser& user) {
  std::erase(users_, &user);
  std::replace(told_.begin(), told_.end(), &user, static_cast<FenceUser*>(nullptr));
}

void FenceSettle::Ask(FenceLink& primary, TimePoint now) {
  begun_before_ = settle_.begun();
  settle_.Asked();
  primary.Ask(FenceLink::Question::kRunning, now);
}

void FenceSettle::AskReplica(FenceLink& replica, TimePoint now) {
  if (!settle_.Owes(replica.id()) || !replica.Free()) return;
  settle_.ReplicaAsked(replica.id());
  replica.AskShown(settle_.question(), now);
}

void FenceSettle::OnRunning(Running running, std::span<const ServerId> replicas) {
  settle_.OnRunning(std::move(running), replicas, env_.ExactNow());
  Tell(SettleOutcome::kWaited, begun_before_);
}

void FenceSettle::OnShown(ServerId replica, std::span<const Xid> shown, bool more) {
  settle_.OnShown(replica, shown, more, env_.ExactNow());
  Tell(SettleOutcome::kNothingShown, settle_.begun());
}

void FenceSettle::OnReplicaLost(ServerId replica) {
  settle_.Drop(replica);
  Tell(SettleOutcome::kNothingShown, settle_.begun());
}

void FenceSettle::OnPrimaryLost() {
  settle_.Void();
  Tell(SettleOutcome::kGaveUp, settle_.begun());
}

void FenceSettle::Tell(SettleOutcome outcome, Settle::Round old) {
  const auto settled = settle_.settled();
  if (users_.empty() || users_.front()->settle_round > settled) return;
  const auto now = env_.ExactNow();
  told_.clear();
  while (!users_.empty() && users_.front()->settle_round <= settled) {
    auto* user = users_.front();
    users_.pop_front();
    user->fence_place = FenceUser::Place::kOut;
    const auto its = user->settle_round > old ? SettleOutcome::kAtOnce : outcome;
    env_.metrics().Count(Counter::kSettledReads, its);
    env_.metrics().Observe(Histogram::kSettleWait, its, now - user->settling_since);
    told_.push_back(user);
  }
  for (std::size_t i = 0; i < told_.size(); ++i)
    if (auto* user = told_[i]; user != nullptr) user->OnSettled();
  told_.clear();
}

void FenceSettle::OnTimer() {
  armed_for_ = TimePoint::max();  // what is to be asked is asked before the loop waits again
  const auto late = env_.ExactNow() - kLongest;
  const auto in_time = std::find_if(users_.begin(), users_.end(), [&](auto* user) { return user->settling_since > late; });
  if (in_time == users_.begin()) return;
  const auto round = (*std::prev(in_time))->settle_round;
  settle_.Abandon(round);
  Tell(SettleOutcome::kGaveUp, settle_.begun());
}

void FenceSettle::Arm(TimePoint now) {
  if (users_.empty()) return;
  auto due = users_.front()->settling_since + kLongest;
  // What is due already waits for the link, whose answer wakes the loop.
  if (const auto ask_at = settle_.AskAt(); ask_at > now) due = std::min(due, ask_at);
  if (due >= armed_for_) return;
  armed_for_ = due;
  timer_.StartAt(due);
}

}  // namespace waypost
