// What is known of a client's transaction block beside its state: what begins it and with which modes, and what of it would be
// lost with its server. Pure; its session's.
//
//   Begin, Add      the client has begun it, and no server has heard of it: begin() is said ahead of its first statement
//   BeginsNow       the batch that is about to be sent begins it
//   ReadsOnly       that goes to a replica, as a READ ONLY block
//   LeftServer      the server connection is given up, or lost: what lived there is gone
//   Ended           the server is idle
#pragma once

#include <string>
#include <string_view>

#include "parser/sql/facts.h"
#include "routing/transaction_defaults.h"

namespace waypost {

class Block {
 public:
  void Begin(std::string_view text, const TransactionModes& modes);
  // What was begun names more modes, in a statement of its own.
  void Add(std::string_view text, const TransactionModes& modes);
  void BeginsNow(const TransactionModes& modes);
  // What begins it, kept or by default; empty: the server has heard of it, or there is none.
  [[nodiscard]] const std::string& begin() const { return begin_; }
  // It is to begin on a server once more, or late, and reads only. What began it is kept if it is known.
  void BeginsAnew();
  void ForgetBegin();

  // A batch sets modes in a way that was not looked at.
  void MayChangeModes();
  [[nodiscard]] bool IsReadOnly(const TransactionDefaults& defaults) const {
    return modes_.read_only.value_or(defaults.read_only);
  }
  // A replica can take it.
  [[nodiscard]] bool SuitsReplica(const TransactionDefaults& defaults) const { return SuitsReplica(modes_, defaults); }
  [[nodiscard]] static bool SuitsReplica(const TransactionModes& modes, const TransactionDefaults& defaults);
  // Each of its statements sees a snapshot of its own; false too if nobody knows.
  [[nodiscard]] bool IsReadCommitted(const TransactionDefaults& defaults) const {
    return !unsure_ && IsReadCommitted(modes_, defaults);
  }
  // The same of one that began with `modes`.
  [[nodiscard]] static bool IsReadCommitted(const TransactionModes& modes, const TransactionDefaults& defaults);

  void ReadsOnly() { reads_only_ = true; }
  [[nodiscard]] bool reads_only() const { return reads_only_; }
  // With read_from = "none": a replica could have taken it.
  void CouldRead() { could_read_ = true; }
  [[nodiscard]] bool could_read() const { return could_read_; }
  // A statement has run that was proved fresh: under REPEATABLE READ all later ones see what it saw.
  void Proved();
  // What it reads is fixed.
  [[nodiscard]] bool snapshot_taken() const { return snapshot_taken_; }
  // COMMIT AND CHAIN: another one has begun.
  void Chained() { snapshot_taken_ = false; }

  // It has left nothing on its replica that its next statements need.
  void SetMovable(bool movable) { movable_ = movable; }
  [[nodiscard]] bool movable() const { return movable_; }

  void LeftServer();
  void Ended();

 private:
  void Name(const TransactionModes& modes);

  std::string begin_;
  TransactionModes modes_;
  bool unsure_ = false;  // whether those are its level of isolation
  bool reads_only_ = false;
  bool could_read_ = false;
  bool snapshot_taken_ = false;
  bool movable_ = false;
};

}  // namespace waypost
