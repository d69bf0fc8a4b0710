// What ties a session to the server connection that it holds: what its batches may have left there, what an audit found, and
// values of sequences that it may ask for. Of one lease; EndLease() is the only reset. Pure; its session's.
//
//   what          begins with a batch that                  ends with
//   for good      leaves what no audit finds or ends        the lease; DISCARD ALL, but for IsForGood()
//   unseen        may have changed the session unseen       an audit, DISCARD ALL, the lease
//   due           may have begun or ended a tie             an audit, DISCARD ALL, the lease
//   values        took some that sessions like it ask for   nobody asking for long, DISCARD ALL or SEQUENCES, the lease
#pragma once

#include <optional>

#include "core/base/bytes.h"
#include "parser/sql/verdict.h"
#include "routing/audit.h"
#include "routing/policy.h"
#include "routing/session_machine.h"

namespace waypost {

// What one batch says of ties.
struct BatchTies {
  PinReason pin = PinReason::kNone;
  bool unseen = false;    // it may have changed the session in a way that its text does not show,
  bool unlisted = false;  // and that an audit cannot find
  bool audit = false;     // it may have begun or ended what ties the session
  bool advances = false;  // it is likely to have taken values from sequences
  bool failed = false;
};

// How a batch ended.
struct BatchEnd {
  char status = 'I';
  bool replica = false;                // it ran on one
  const Relaying* relaying = nullptr;  // what the session was in; null: something else
  PoolMode mode = PoolMode::kTransaction;
  bool values_asked_for = false;  // sessions of its user and database ask for what they took; looked at if MayAskForValues()
  bool values_may_pin = false;
};

// What an audit says.
struct AuditFound {
  PinReason pin = PinReason::kNone;  // what ties the session; kNone: nothing
  bool failed = false;               // nobody knows what does
  std::optional<AuditReport> state;  // of one of everything: what is set
};

class Ties {
 public:
  // A batch with `pin` is about to be sent. `alone`: the session holds no connection yet. `pinned`: it is tied.
  void BatchBegins(bool alone, bool pinned, PinReason pin);
  // ROLLBACK was answered. True: all that could tie it happened in that transaction, and went with it.
  [[nodiscard]] bool RolledBack();
  // DISCARD ALL was answered.
  void Discarded();
  // The server forgot which values were taken.
  void ForgetValues() { values_ = block_advanced_ = false; }

  // True if it matters to AfterBatch() whether anybody asks for values.
  [[nodiscard]] bool MayAskForValues(bool advances) const { return values_ || block_advanced_ || advances; }
  // For the machine: what the batch leaves. Once for each that ends.
  [[nodiscard]] BatchDone AfterBatch(const BatchTies& batch, const BatchEnd& end);

  // An audit begins; of what it must ask.
  [[nodiscard]] AuditScope BeginAudit();
  void TakeAuditRow(Bytes row) { audit_failed_ = !AddAuditRow(audit_, row) || audit_failed_; }
  void AuditFailed() { audit_failed_ = true; }
  // `before`: what tied the session as far as was known.
  [[nodiscard]] AuditFound EndAudit(PinReason before);

  // The session holds the connection no more.
  void EndLease();

  // What no audit ends; kNone: nothing.
  [[nodiscard]] PinReason for_good() const { return for_good_; }
  [[nodiscard]] bool unseen() const { return unseen_; }
  // In the block at hand values were taken.
  [[nodiscard]] bool block_advanced() const { return block_advanced_; }

 private:
  void Note(const BatchTies& batch, const BatchEnd& end, bool undone);
  void NoteValues(const BatchTies& batch, const BatchEnd& end);

  PinReason for_good_ = PinReason::kNone;
  bool unseen_ = false;
  bool due_ = false;
  bool values_ = false;          // they are on the connection at hand
  bool block_advanced_ = false;
  bool undone_ = false;          // the batch at hand undid all that tied the session
  bool ends_with_block_ = false;  // all that could tie it happened in the transaction at hand
  AuditReport audit_;            // of the audit that runs
  bool audit_failed_ = false;
};

}  // namespace waypost
