#include "routing/ties.h"

#include <utility>

namespace waypost {

void Ties::BatchBegins(bool alone, bool pinned, PinReason pin) {
  if (alone) ends_with_block_ = true;
  if (pinned || !EndsWithTransaction(pin)) ends_with_block_ = false;
}

bool Ties::RolledBack() {
  if (ends_with_block_) undone_ = true;
  return ends_with_block_;
}

void Ties::Discarded() {
  ForgetValues();
  undone_ = true;
}

void Ties::Note(const BatchTies& batch, const BatchEnd& end, bool undone) {
  // Neither an error nor DISCARD ALL undoes these.
  if (IsForGood(batch.pin)) for_good_ = batch.pin;
  if (undone && !IsForGood(for_good_)) {
    for_good_ = PinReason::kNone;
    unseen_ = due_ = false;
    return;
  }
  unseen_ = unseen_ || batch.unseen;
  if (batch.unlisted && for_good_ == PinReason::kNone) for_good_ = PinReason::kUnknownState;
  const bool block = end.status != 'I' || end.relaying == nullptr || end.relaying->block;
  due_ = due_ || batch.audit || (batch.pin != PinReason::kNone && block);
}

void Ties::NoteValues(const BatchTies& batch, const BatchEnd& end) {
  if (values_ && !end.values_asked_for) {  // nobody has asked for long: the audit says whether anything else ties it
    values_ = false;
    due_ = true;
  }
  const bool advanced = std::exchange(block_advanced_, false) || batch.advances;
  if (advanced && end.values_may_pin && end.values_asked_for) values_ = true;
}

BatchDone Ties::AfterBatch(const BatchTies& batch, const BatchEnd& end) {
  BatchDone done{.status = end.status, .pin = batch.pin, .unpinned = std::exchange(undone_, false), .replica = end.replica};
  if (batch.failed && end.status == 'I' && EndsWithTransaction(batch.pin)) done.pin = PinReason::kNone;
  if (end.mode == PoolMode::kSession) {
    if (done.pin == PinReason::kNone) done.pin = PinReason::kSessionMode;
    return done;
  }
  Note(batch, end, done.unpinned);
  if (for_good_ != PinReason::kNone) {
    done.pin = for_good_;
    done.unpinned = false;
    // It is let go all the same, but for what an audit finds of its settings.
    done.audit = done.replica && end.status == 'I' && end.relaying != nullptr;
    return done;
  }
  if (end.status != 'I') {
    block_advanced_ = block_advanced_ || batch.advances;
    return done;
  }
  const auto* relaying = end.relaying;
  const bool tied = done.pin != PinReason::kNone || (!done.unpinned && relaying != nullptr && relaying->pin != PinReason::kNone);
  NoteValues(batch, end);
  if (!tied && values_) done.pin = PinReason::kSequenceValue;
  done.audit = due_ && (tied || unseen_) && relaying != nullptr;
  due_ = due_ && done.audit;
  return done;
}

AuditScope Ties::BeginAudit() {
  audit_ = {};
  audit_failed_ = false;
  return unseen_ ? AuditScope::kEverything : AuditScope::kObjects;
}

AuditFound Ties::EndAudit(PinReason before) {
  const bool unseen = std::exchange(unseen_, false);
  due_ = false;
  AuditFound found{.pin = PinOf(audit_), .failed = audit_failed_, .state = std::nullopt};
  if (found.failed) {
    // Nobody knows: as before, and for good.
    found.pin = for_good_ = before == PinReason::kNone ? PinReason::kUnknownState : before;
  } else if (unseen) {
    if (audit_.unlisted && for_good_ == PinReason::kNone) for_good_ = PinReason::kUnknownState;
    found.state = std::move(audit_);
  }
  audit_ = {};
  if (found.pin == PinReason::kNone && values_) found.pin = PinReason::kSequenceValue;
  if (found.pin == PinReason::kNone) found.pin = for_good_;
  return found;
}

void Ties::EndLease() {
  for_good_ = PinReason::kNone;
  unseen_ = due_ = false;
  ForgetValues();
}

}  // namespace waypost
