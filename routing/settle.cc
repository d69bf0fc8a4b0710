#include "routing/settle.h"

#include <algorithm>
#include <utility>

namespace waypost {
namespace {

// The primary is asked again after this, doubled up to the cap: a standby confirms a commit within a millisecond or so.
constexpr std::chrono::microseconds kFirstPollGap{200};
constexpr std::chrono::microseconds kMaxPollGap{1'600};

}  // namespace

bool Running::MayInclude(Xid xid) const { return xid >= from || std::binary_search(listed.begin(), listed.end(), xid); }

Xid NextXid(std::int32_t age, Xid near) {
  constexpr std::uint32_t kFirstNormal = 3;
  const auto next = static_cast<std::uint32_t>(age) + kFirstNormal;
  const auto ahead = static_cast<std::int32_t>(next - static_cast<std::uint32_t>(near));
  return near + static_cast<std::uint64_t>(std::int64_t{ahead});
}

Settle::Round Settle::Join() {
  wanted_ = next_;
  return wanted_;
}

Settle::Round Settle::settled() const {
  auto settled = confirmed_;
  for (const auto& awaited : awaited_)
    if (!awaited.abandoned) settled = std::min(settled, awaited.round - 1);
  return settled;
}

TimePoint Settle::AskAt() const {
  if (in_flight_) return TimePoint::max();
  return wanted_ == next_ && open_ == 0 ? TimePoint{} : poll_at_;
}

void Settle::Asked() {
  in_flight_ = true;
  asking_ = wanted_ == next_ && open_ == 0 ? next_++ : 0;
}

void Settle::OnRunning(Running running, std::span<const ServerId> replicas, TimePoint now) {
  if (!in_flight_) return;
  in_flight_ = false;
  std::erase_if(awaited_, [&](const Awaited& awaited) { return !running.MayInclude(awaited.xid); });
  Poll(now);
  const auto round = std::exchange(asking_, 0);
  if (round == 0) return;
  poll_gap_ = kFirstPollGap;
  std::erase_if(running.listed, [&](Xid xid) {  // of these it is known
    return std::any_of(awaited_.begin(), awaited_.end(), [&](const Awaited& awaited) { return awaited.xid == xid; });
  });
  if (running.empty() || replicas.empty()) {
    confirmed_ = std::max(confirmed_, round);
    return;
  }
  open_ = round;
  question_ = std::move(running);
  for (const auto replica : replicas) debts_.push_back({replica, false});
}

// The next poll, if there is anything to wait for.
void Settle::Poll(TimePoint now) {
  const bool waits = std::any_of(awaited_.begin(), awaited_.end(), [](const Awaited& awaited) { return !awaited.abandoned; });
  poll_gap_ = std::clamp<Duration>(poll_gap_ * 2, kFirstPollGap, kMaxPollGap);
  poll_at_ = waits ? now + poll_gap_ : TimePoint::max();
}

bool Settle::Owes(ServerId replica) const {
  return std::any_of(debts_.begin(), debts_.end(), [&](const Debt& debt) { return debt.replica == replica && !debt.asked; });
}

void Settle::ReplicaAsked(ServerId replica) {
  for (auto& debt : debts_)
    if (debt.replica == replica) debt.asked = true;
}

void Settle::OnShown(ServerId replica, std::span<const Xid> shown, bool more, TimePoint now) {
  const auto owed =
      std::find_if(debts_.begin(), debts_.end(), [&](const Debt& debt) { return debt.replica == replica && debt.asked; });
  if (owed == debts_.end()) return;  // of a round that is over
  // An answer that is cut short leaves its round unconfirmed: what later rounds find is its business too.
  const auto first = confirmed_ + 1;
  for (const auto xid : shown) {
    const auto known = [&](const Awaited& awaited) { return awaited.xid == xid; };
    if (std::none_of(awaited_.begin(), awaited_.end(), known)) awaited_.push_back({xid, first, false});
  }
  more_ |= more;
  if (!shown.empty() && poll_at_ == TimePoint::max()) {
    poll_gap_ = kFirstPollGap;
    poll_at_ = now + poll_gap_;
  }
  debts_.erase(owed);
  EndQuestion();
}

void Settle::Drop(ServerId replica) {
  if (std::erase_if(debts_, [&](const Debt& debt) { return debt.replica == replica; }) > 0) EndQuestion();
}

void Settle::EndQuestion() {
  if (!debts_.empty() || open_ == 0) return;
  const auto round = std::exchange(open_, 0);
  if (std::exchange(more_, false)) wanted_ = next_;  // the next round finds the rest
  else confirmed_ = std::max(confirmed_, round);
}

void Settle::Abandon(Round up_to) {
  for (auto& awaited : awaited_)
    if (awaited.round <= up_to) awaited.abandoned = true;
  next_ = std::max(next_, up_to + 1);
  confirmed_ = std::max(confirmed_, up_to);
  if (asking_ <= up_to) asking_ = 0;
  if (open_ > up_to) return;
  open_ = 0;
  more_ = false;
  debts_.clear();
}

void Settle::Void() {
  confirmed_ = wanted_;
  next_ = std::max(next_, wanted_ + 1);
  in_flight_ = more_ = false;
  asking_ = open_ = 0;
  debts_.clear();
  awaited_.clear();
  poll_at_ = TimePoint::max();
}

}  // namespace waypost
