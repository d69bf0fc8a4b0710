// [routing] self_check: a read that ran on a replica runs again on the primary, and the answers are compared. What the two
// answers, and the primary's WAL position before and after them, say of the read. Pure.
//
// They differ:                                     outcome
//   the position moved between, or a transaction
//   that has written is not at its end             changed   nothing can be said: a replica may show a commit before the
//                                                            primary does
//   it did not, and the statement asks the clock,
//   or the primary answers otherwise each time     unsteady  random(), now(), rows in no order ...
//   it did not, and the primary answers alike      stale
//
// The client is given the primary's answer. But a replica's that was proved fresh stands unless it is stale: the primary's
// may be the older one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/lsn.h"
#include "core/base/time.h"
#include "metrics/labels.h"
#include "parser/sql/tokens.h"
#include "routing/cluster_view.h"

namespace waypost {

// What answers are compared by: equal for the same statements with the same rows, in whatever order each one's come.
struct AnswerDigest {
  std::uint64_t hash = 0;
  std::uint64_t rows = 0;
  bool operator==(const AnswerDigest&) const = default;
};
// `answer`: the messages of a server for one batch, whole.
[[nodiscard]] AnswerDigest DigestOf(std::string_view answer);

// True if a value says a time by the clock: 'now', 'yesterday noon'.
[[nodiscard]] bool SaysClock(std::string_view value);
// True if `sql` names something that gives another answer each time: the clock, random numbers.
[[nodiscard]] bool AsksClockOrChance(std::string_view sql, Lexing lexing);

// What is written on the primary after its answer, asked of the connection that it came on.
struct PrimaryNow {
  Lsn position;        // as a Fence would have it
  bool writing = false;  // transactions that have written are under way
};
inline constexpr std::string_view kPrimaryNowSql =
    "SELECT pg_catalog.pg_current_wal_insert_lsn(), "
    "pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')), "
    // Each holds its own until others see what it has written.
    "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks AS l WHERE l.locktype OPERATOR(pg_catalog.=) 'transactionid' "
    "AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock')";
// The body of its DataRow.
[[nodiscard]] std::optional<PrimaryNow> ReadPrimaryNow(Bytes row);

// Says which reads are checked: of every n, as evenly as can be. And which statements were complained of. One per worker.
class SelfChecks {
 public:
  [[nodiscard]] bool TakesThis(double fraction) {
    due_ += fraction;
    if (due_ < 1) return false;
    due_ -= 1;
    return true;
  }
  // True the first time, as long as it is remembered.
  [[nodiscard]] bool FirstOf(std::string_view sql);

 private:
  static constexpr std::size_t kRemembered = 256;

  double due_ = 0;
  std::array<std::uint64_t, kRemembered> complained_{};  // hashes, by their last bits
};

// One read that is checked.
class SelfCheck {
 public:
  enum class Next : std::uint8_t {
    kRunOnPrimary,
    kAskPosition,  // then OnPosition()
    kAnswer,       // there is an outcome, and the client is given what TakeAnswer() gives
  };

  // `position_only`: no fence proves the read, it waits only for the position.
  SelfCheck(ServerId server, bool position_only) : server_(server), position_only_(position_only) {}

  // The primary's position, asked for after the read came and heard before it is sent, or before it is confirmed by it.
  void SetBefore(Lsn position) { before_ = position; }
  [[nodiscard]] bool position_only() const { return position_only_; }
  // The replica that answered first.
  [[nodiscard]] ServerId server() const { return server_; }
  void set_server(ServerId server) { server_ = server; }
  // An answer that can be given is here: what comes now comes from the primary.
  [[nodiscard]] bool answered() const { return run_ != Run::kReplica; }
  // What comes from the primary is no answer to compare: an error, or more than can be held.
  void Fail(SelfCheckOutcome outcome) { failed_ = outcome; }
  [[nodiscard]] bool failed() const { return failed_.has_value(); }

  // A whole answer has come.
  [[nodiscard]] Next OnAnswer(std::string answer);
  // What the primary says after it answered; nothing: it did not. `unsteady`: see AsksClockOrChance().
  [[nodiscard]] Next OnPosition(std::optional<PrimaryNow> now, bool unsteady);

  [[nodiscard]] SelfCheckOutcome outcome() const { return outcome_; }
  // The answer to give, also before there is an outcome.
  [[nodiscard]] std::string TakeAnswer();

  std::optional<PrimaryNow> primary_now;  // what the primary said, once it was asked
  TimePoint deadline = TimePoint::max();  // then the client gets the answer at hand

 private:
  enum class Run : std::uint8_t { kReplica, kPrimary, kPrimaryAgain };
  // The primary must answer alike so many times more.
  static constexpr unsigned kSteady = 2;

  [[nodiscard]] Next End(SelfCheckOutcome outcome);

  ServerId server_;
  bool position_only_;
  std::optional<SelfCheckOutcome> failed_;
  Run run_ = Run::kReplica;
  unsigned alike_ = 0;
  std::optional<Lsn> before_;
  std::string replicas_, primarys_;  // answers
  AnswerDigest replica_, primary_;
  SelfCheckOutcome outcome_ = SelfCheckOutcome::kFailed;
};

}  // namespace waypost
