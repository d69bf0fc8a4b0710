// Statements that Waypost itself refuses. PostgreSQL's way with an error is kept: what stands before it in the batch runs
// and is undone with it, what stands behind it is skipped, an open block fails.
#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

std::string_view WhatPins(PinReason reason) {
  switch (reason) {
    case PinReason::kTemporaryTable: return "a temporary table";
    case PinReason::kListen: return "LISTEN";
    case PinReason::kHoldCursor: return "a cursor WITH HOLD";
    case PinReason::kAdvisoryLock: return "a session-level advisory lock";
    case PinReason::kSqlPrepare: return "PREPARE";
    case PinReason::kLoad: return "LOAD";
    case PinReason::kSetSeed: return "setseed()";
    case PinReason::kNone:
    case PinReason::kSequenceValue:
    case PinReason::kSessionMode:
    case PinReason::kUnknownState:
    case PinReason::kCount: break;
  }
  return "a statement that may change the session unseen";
}

}  // namespace

void Session::Refuse(BatchMessage& message, std::string error) {
  message.refused = true;
  if (!batch_->refusal.empty()) return;
  batch_->refusal = std::move(error);
}

void Session::NotePin(BatchMessage& message, PinReason pin, bool unlisted) {
  if (pin == PinReason::kNone) return;
  if (pin == PinReason::kSequenceValue) return ReadsSequence();
  auto error = WhyNoPin(pin);
  if (!error.empty()) return Refuse(message, std::move(error));
  auto& b = *batch_;
  b.unlisted = b.unlisted || unlisted;
  if (pin == PinReason::kUnknownState) {
    b.unseen = true;
    // A session that is tied in any case is asked about when that may end.
    b.audit = b.audit || pinned_by() == PinReason::kNone;
    if (b.pin != PinReason::kNone) return;
  }
  // pg_try_advisory_lock() may have locked nothing.
  if (pin == PinReason::kAdvisoryLock) b.audit = true;
  if (!IsForGood(b.pin)) b.pin = pin;
}

// Empty if it may be.
std::string Session::WhyNoPin(PinReason pin) const {
  if (pin == PinReason::kUnknownState || policy_.pool.mode == PoolMode::kSession) return {};
  const std::string what(WhatPins(pin));
  if (policy_.pool.pins == Pins::kRefuse)
    return ErrorMessage({.sqlstate = "0A000",
                         .message = what + " is not allowed here: it would tie the session to one server connection",
                         .detail = "Waypost is configured with pins = \"refuse\" for this user or database.",
                         .hint = "Set pins = \"allow\" in [pool], [[database]] or [[user]], or use pool mode \"session\"."});
  if (!OnReplica()) return {};
  return ErrorMessage({.sqlstate = "0A000",
                       .message = what + " is not possible in a READ ONLY transaction that runs on a replica",
                       .hint = "Run it in a READ WRITE transaction, or as the first statement of this one."});
}

// In place of the refused message goes one that the server is sure to refuse; OnError puts our words into its answer.
void Session::AppendRefused(std::string& out, char type) {
  // It parses, so that a failed block answers 25P02 first, and nobody makes functions in pg_catalog.
  static constexpr std::string_view kSql = "SELECT pg_catalog.refused_by_waypost()";
  const bool simple = type == 'Q' || type == 'F';
  auto& connection = *connection_;
  const auto sequence = connection.ledger().Sent(simple ? 'Q' : 'P', Reply::kForward);
  if (simple) AppendQuery(out, kSql);
  else waypost::AppendParse(out, "", kSql, AsBytes(std::string_view("\0\0", 2)));
  if (sequence == 0) return;  // the server skips it
  connection.unnamed.reset();
  if (type == 'Q') names_.SetUnnamed(nullptr);
  // Of several that are refused the server answers the first, and skips the others.
  if (batch_->refusal_sequence == 0) batch_->refusal_sequence = sequence;
}

// In place of a Bind whose statement does not return what the client was told.
void Session::RefuseReshaped(std::string& out) {
  const bool first = batch_->refusal_sequence == 0;
  AppendRefused(out, 'B');
  batch_->reshaped = batch_->reshaped || first;
}

}  // namespace waypost
