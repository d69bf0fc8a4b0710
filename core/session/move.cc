// A READ ONLY block on a replica that goes on elsewhere, as if it had just begun: where its server is lost between two
// statements, where that waits to replay what the block itself keeps it from replaying, or where PREPARE TRANSACTION, which no
// replica can do, ends it.
#include <algorithm>

#include "core/session/session.h"

namespace waypost {

// What the batch that ends now, in a block, leaves of that.
void Session::NoteMovable() {
  const auto& b = *batch_;
  const auto* relaying = std::get_if<Relaying>(&state_);
  const bool first = relaying != nullptr && (relaying->opens || !relaying->block);
  if (first) block_.SetMovable(block_.reads_only() && block_.IsReadCommitted(transaction_defaults_));
  if (!block_.movable()) return;
  // Each statement has a snapshot of its own; what else of a block lives on its server is listed here.
  block_.SetMovable(!b.stays && !b.failed && b.facts.end_known && b.pin == PinReason::kNone && !b.changes_settings &&
                    !b.sets_transaction && !b.unseen && portals_.named() == 0 && !settings_.has_local() && !AnswersVary());
  if (block_.movable()) block_.BeginsAnew();
}

// It may go on elsewhere with the batch at hand, of which no server has heard; without one, with whatever comes next.
bool Session::BlockMayMove() const {
  if (!block_.movable() || !OnReplica() || connection_->status() != 'T' || pinned_by() != PinReason::kNone) return false;
  if (!batch_) return true;
  const auto& b = *batch_;
  return !b.begun && !b.stays && b.facts.end_known && b.pin == PinReason::kNone;
}

// What is held of the server is given up: its connection is closed.
void Session::MoveBlock() {
  LeaveFence();
  Take(Moved{});
}

// The last statement of a block that runs on a replica and has written nothing: it is prepared on the primary. In a failed
// block it is a ROLLBACK, there as here. Other statements do not stand in its batch: see cut.cc.
bool Session::PreparesElsewhere() {
  const auto* block = std::get_if<InBlock>(&state_);
  if (block == nullptr || block->pin != PinReason::kNone || !batch_->prepares || !OnReplica()) return false;
  const bool failed = connection_->status() == 'E';
  const auto lone = LoneStatement();
  const bool begins = !batch_->facts.end_known && !failed;  // more of the same is to come
  if (!begins && (lone.facts == nullptr || !lone.facts->prepares)) return false;
  block_.BeginsAnew();
  MoveBlock();
  if (!failed) return false;
  ForgetTransaction();
  Take(BlockEnded{});
  return true;
}

}  // namespace waypost
