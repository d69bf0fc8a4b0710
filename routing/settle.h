// When a read on the primary sees everything that a replica has shown. A commit is visible on a replica as soon as it is
// replayed there, on the primary only when its writer is woken from waiting for its standbys: in between, a read on the
// primary would miss what another read saw. So such a read *settles* first, in rounds shared by all that wait:
//
//   1. the primary is asked what is in progress there; if nothing is, the round is settled
//   2. the replicas are asked which of that they show as committed; if none of it, the round is settled
//   3. the primary is asked again and again until it has completed all of those
//
// Exact: what a finished read saw is in progress on the primary (1) and committed on the replica that showed it (2), or
// completed; and the read's snapshot is taken after (3). Who joins while a round is in progress waits for the next one.
// Pure; one per worker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/time.h"
#include "routing/cluster_view.h"

namespace waypost {

using Xid = std::uint64_t;  // with its epoch: pg_snapshot, xid8

// The transactions that may be in progress: those listed, and from <= xid < until. A snapshot lists none that is younger
// than the youngest completed one, so `until` is the next to be given out, asked for before the snapshot.
struct Running {
  std::vector<Xid> listed;  // ascending
  Xid from = 0, until = 0;
  [[nodiscard]] bool empty() const { return listed.empty() && from >= until; }
  // False: it was completed when the snapshot was taken.
  [[nodiscard]] bool MayInclude(Xid xid) const;
};

// The next transaction with its epoch: `age` is what the primary says of age(3::xid), and `near` is a transaction that
// is no 2^31 away from it.
[[nodiscard]] Xid NextXid(std::int32_t age, Xid near);

class Settle {
 public:
  // Counts up. A read that joined round r may run once settled() >= r.
  using Round = std::uint64_t;

  // Joins the next round, never one in progress.
  [[nodiscard]] Round Join();
  [[nodiscard]] Round settled() const;
  // The last round that began.
  [[nodiscard]] Round begun() const { return next_ - 1; }

  // When the primary is to be asked; TimePoint{}: at once, max(): not now.
  [[nodiscard]] TimePoint AskAt() const;
  void Asked();
  // Its answer. `replicas`: those to be asked if anything is in progress.
  void OnRunning(Running running, std::span<const ServerId> replicas, TimePoint now);

  // True if this replica is to be asked which of question() it shows as committed.
  [[nodiscard]] bool Owes(ServerId replica) const;
  [[nodiscard]] const Running& question() const { return question_; }
  void ReplicaAsked(ServerId replica);
  // Its answer; `more`: there were more than it could say.
  void OnShown(ServerId replica, std::span<const Xid> shown, bool more, TimePoint now);
  // It will not answer.
  void Drop(ServerId replica);

  // What the rounds up to this one wait for takes too long: no read waits for it any more.
  void Abandon(Round up_to);
  // The primary is another one, or cannot be asked: all rounds so far are over.
  void Void();

 private:
  struct Awaited {
    Xid xid = 0;
    Round round = 0;  // the first one that must wait for it
    bool abandoned = false;
  };
  struct Debt {
    ServerId replica = 0;
    bool asked = false;
  };
  void EndQuestion();
  void Poll(TimePoint now);

  Round next_ = 1;       // the one that begins next
  Round wanted_ = 0;     // the last one that somebody joined
  Round asking_ = 0;     // that the question to the primary begins; 0: none
  Round open_ = 0;       // that replicas are asked for; 0: none
  Round confirmed_ = 0;  // the last one of which it is known what it waits for
  bool in_flight_ = false;
  bool more_ = false;
  Running question_;
  std::vector<Debt> debts_;
  std::vector<Awaited> awaited_;
  Duration poll_gap_{};
  TimePoint poll_at_ = TimePoint::max();
};

}  // namespace waypost
