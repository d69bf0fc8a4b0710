// Carries out what routing/settle.h says, on the links of the FenceProbe that owns it: reads wait here until the primary
// shows everything that a replica has shown. One per worker, worker thread only.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "core/fence/link.h"
#include "core/net/loop.h"
#include "metrics/labels.h"
#include "routing/settle.h"

namespace waypost {

class FenceUser;
class Env;

class FenceSettle {
 public:
  explicit FenceSettle(Env& env);

  // OnSettled() follows, in no case later than kLongest from now.
  void Join(FenceUser& user, TimePoint now);
  // No more calls to it.
  void Leave(FenceUser& user);

  [[nodiscard]] bool idle() const { return users_.empty(); }
  // True if the primary should be asked now. Its link must be free for Ask().
  [[nodiscard]] bool AskDue(TimePoint now) const { return !idle() && settle_.AskAt() <= now; }
  void Ask(FenceLink& primary, TimePoint now);
  // Asks this replica if it has something to answer and is free.
  void AskReplica(FenceLink& replica, TimePoint now);
  // The timer goes off when the next thing is due.
  void Arm(TimePoint now);

  // Answers. `replicas`: those that may be asked.
  void OnRunning(Running running, std::span<const ServerId> replicas);
  void OnShown(ServerId replica, std::span<const Xid> shown, bool more);
  // The replica's link is closed.
  void OnReplicaLost(ServerId replica);
  // The primary's link is closed, or the primary is another one: nothing can be found out, and all that wait go on.
  void OnPrimaryLost();

 private:
  void OnTimer();
  // Those that joined a round that is settled go on; `outcome` is that of rounds up to `old`, later ones are kAtOnce.
  void Tell(SettleOutcome outcome, Settle::Round old);

  Env& env_;
  Settle settle_;
  Settle::Round begun_before_ = 0;  // the question to the primary
  std::deque<FenceUser*> users_;  // by round, and so by deadline
  std::vector<FenceUser*> told_;  // being called; null: left meanwhile
  TimePoint armed_for_ = TimePoint::max();
  FineTimer timer_;
};

}  // namespace waypost
