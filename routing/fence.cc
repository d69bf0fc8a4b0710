#include "routing/fence.h"

#include <algorithm>

namespace waypost {
namespace {

// postgres src/include/access/xlog_internal.h, src/include/pg_config.h
constexpr std::uint64_t kPageBytes = 8192;
constexpr std::uint64_t kPageHeaderBytes = 24;
constexpr std::uint64_t kSegmentHeaderBytes = 40;

// The position must have stood still for so long before a read is sent ahead of its proof.
constexpr milliseconds kQuiet{10};

// A replica that is so far behind will not be there in the few milliseconds that a read waits.
constexpr milliseconds kFar{100};

// A flush position that has not moved for so long will not move by itself soon.
constexpr milliseconds kStuck{1};
// Not more often than this: a commit that flushes everything is worth it only now and then.
constexpr milliseconds kNudgeGap{5};

}  // namespace

Lsn RecordEnd(Lsn insert, std::uint64_t segment_bytes) {
  const auto in_segment = segment_bytes == 0 ? kSegmentHeaderBytes + 1 : insert.value % segment_bytes;
  const auto in_page = insert.value % kPageBytes;
  if (in_segment == kSegmentHeaderBytes) return {insert.value - kSegmentHeaderBytes};
  // The first page of a segment has the long header alone.
  if (in_page == kPageHeaderBytes && in_segment != kPageHeaderBytes) return {insert.value - kPageHeaderBytes};
  return insert;
}

void Fence::OpenEpoch(const Epoch& epoch, std::uint64_t segment_bytes) {
  if (open_) CloseEpoch();
  open_ = true;
  segment_bytes_ = segment_bytes;
  position_ = {};
  positions_ = {};
  recent_ = old_ = {};
  if (epoch == epoch_) return;  // the connection alone is new: no replica has gone back
  epoch_ = epoch;
  for (auto& replica : replicas_) replica = {};
}

void Fence::CloseEpoch() {
  open_ = false;
  VoidTickets();
}

void Fence::VoidTickets() {
  in_flight_ = false;
  void_up_to_ = wanted_;
  next_ = std::max(next_, wanted_ + 1);
}

Ticket Fence::Join() {
  wanted_ = next_;
  return wanted_;
}

void Fence::ProbeSent(TimePoint now) {
  ++next_;
  in_flight_ = true;
  asked_at_ = now;
}

void Fence::OnProbe(Lsn insert, TimePoint now) {
  if (!in_flight_) return;
  in_flight_ = false;
  answered_ = next_ - 1;
  const auto position = RecordEnd(insert, segment_bytes_);
  if (position > position_) {
    moved_at_ = now;
    latest_ = (latest_ + 1) % kRemembered;
  }
  position_ = std::max(position, position_);
  positions_[latest_] = {position_, asked_at_};
  if (asked_at_ - recent_.asked >= kFar) {
    old_ = recent_;
    recent_ = positions_[latest_];
  }
  for (auto& replica : replicas_)
    if (replica.incarnation != 0 && replica.replay >= position_) replica.fresh_as_of = asked_at_;
}

void Fence::OpenReplica(ServerId replica, Lsn replay) {
  if (replicas_.size() <= replica) replicas_.resize(replica + std::size_t{1});
  replicas_[replica] = {++incarnations_, replay, {}, {}, {}};
  Refresh(replicas_[replica]);
}

void Fence::CloseReplica(ServerId replica) {
  if (replica < replicas_.size()) replicas_[replica] = {};
}

bool Fence::Knows(ServerId replica) const { return replica < replicas_.size() && replicas_[replica].incarnation != 0; }

bool Fence::KnowsAny() const {
  return std::any_of(replicas_.begin(), replicas_.end(), [](const Replica& replica) { return replica.incarnation != 0; });
}

void Fence::OnReplay(ServerId replica, Lsn replay, TimePoint asked, TimePoint now) {
  if (!Knows(replica)) return;
  auto& known = replicas_[replica];
  known.heard_at = now;
  if (known.doubted_at && asked > *known.doubted_at) known.doubted_at.reset();
  if (replay <= known.replay) return;
  known.replay = replay;
  Refresh(known);
}

void Fence::Doubt(ServerId replica, TimePoint now) {
  if (Knows(replica)) replicas_[replica].doubted_at = now;
}

void Fence::Refresh(Replica& replica) {
  for (const auto& position : positions_)
    if (position.lsn.value != 0 && position.lsn <= replica.replay)
      replica.fresh_as_of = std::max(replica.fresh_as_of, position.asked);
}

Fence::Seen Fence::SeenOf(ServerId replica) const {
  if (!Knows(replica) || replicas_[replica].doubted_at) return {};
  return {replicas_[replica].incarnation, replicas_[replica].replay};
}

std::optional<Lsn> Fence::ReadIndex(Ticket ticket) const {
  if (Void(ticket) || ticket > answered_) return std::nullopt;
  return position_;
}

Proof Fence::Check(Ticket ticket, ServerId replica, Seen seen) const {
  // It was sent on a connection that was there before any that cast doubt.
  const bool same = Knows(replica) && replicas_[replica].incarnation == seen.incarnation;
  if (Void(ticket) || !same) return Proof::kVoid;
  const auto index = ReadIndex(ticket);
  if (!index) return Proof::kPending;
  return seen.replay >= *index ? Proof::kProven : Proof::kBehind;
}

bool Fence::FarBehind(ServerId replica) const {
  if (!Knows(replica)) return false;
  const auto& known = replicas_[replica];
  return known.replay < old_.lsn && known.heard_at >= old_.asked + kFar;
}

bool Fence::Quiet(TimePoint now, TimePoint last_write) const {
  return open_ && position_.value != 0 && now - moved_at_ >= kQuiet && asked_at_ > last_write;
}

TimePoint Fence::FreshAsOf(ServerId replica) const { return Knows(replica) ? replicas_[replica].fresh_as_of : TimePoint{}; }

bool Nudge::OnFlush(Lsn flush, Lsn needed, TimePoint now) {
  if (flush != last_) {
    last_ = flush;
    last_at_ = now;
    return false;
  }
  if (flush >= needed || now - last_at_ < kStuck || now - nudged_at_ < kNudgeGap) return false;
  nudged_at_ = now;
  return true;
}

}  // namespace waypost
