// Carries out what routing/fence.h says: one connection to the primary and one to each replica, on which WAL positions
// are asked for as long as reads wait for them. One probe is under way at a time; what joins meanwhile shares the next.
// On the same connections reads settle that are to run on the primary (settle.h). One per worker, worker thread only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/fence/link.h"
#include "core/fence/report.h"
#include "core/fence/settle.h"
#include "core/net/loop.h"
#include "routing/fence.h"

namespace waypost {

class Env;

// Who waits for a proof: a session, for one batch. In none of these calls is it in any list of the prober's.
class FenceUser {
 public:
  // The probe that it joined is answered: its batch must see `index`. It may wait for a replica to get there.
  virtual void OnReadIndex(Lsn index) noexcept = 0;
  // Some replica has been seen at or past its index. It goes on, or waits again.
  virtual void OnReplayed() noexcept = 0;
  // Its deadline has passed.
  virtual void OnFenceLate() noexcept = 0;
  // It waits for a replica that cannot go on before it does.
  [[nodiscard]] virtual bool WaitsForItself() const noexcept = 0;
  virtual void OnWaitsForItself() noexcept = 0;
  // The probe that it joined will not be answered.
  virtual void OnFenceVoid() noexcept = 0;

  // The primary shows whatever a replica has shown before it asked for this, or that could not be found out in time.
  virtual void OnSettled() noexcept = 0;

  enum class Place : std::uint8_t { kOut, kAsking, kWaiting, kSettling };
  Place fence_place = Place::kOut;
  Ticket ticket = 0;
  Lsn read_index;
  TimePoint fence_since{};    // when it joined
  TimePoint waiting_from{};   // when it began to wait for a replica
  TimePoint fence_deadline = TimePoint::max();
  Settle::Round settle_round = 0;
  TimePoint settling_since{};  // when it asked to settle

 protected:
  ~FenceUser() = default;
};

class FenceProbe final : private FenceLinkUser {
 public:
  explicit FenceProbe(Env& env);
  ~FenceProbe();
  FenceProbe(const FenceProbe&) = delete;
  FenceProbe& operator=(const FenceProbe&) = delete;

  [[nodiscard]] const Fence& fence() const { return fence_; }
  [[nodiscard]] FenceReport Report() const;

  // `user` asks for a read index: OnReadIndex or OnFenceVoid follows.
  void Join(FenceUser& user);
  // `user` knows its index and waits for a replica to reach it: OnReplayed or, at `deadline`, OnFenceLate follows.
  void WaitForReplay(FenceUser& user, TimePoint deadline);
  // `user` is going to read on the primary: OnSettled follows. False: nothing can be asked, and it may go on.
  [[nodiscard]] bool JoinSettle(FenceUser& user);
  // No more calls to it.
  void Leave(FenceUser& user);

  // A connection for statements was made to this server.
  void OnServerConnection(ServerId id);

  void OnView();
  void OnConfigChanged();
  // Somebody wants `database` to himself: its links go elsewhere.
  void Leave(const std::string& database);
  // Time-outs, connections to be opened again, signs of life. Called every few dozen milliseconds.
  void Sweep(TimePoint now);

 private:
  struct Server {
    std::unique_ptr<FenceLink> link;
    bool as_primary = false;      // what its link was opened for
    TimePoint retry_at{};
    unsigned failures = 0;
    std::string error;            // why the link is closed
  };

  void OnLinkOpen(FenceLink& link, const ServerIdentity& identity) noexcept override;
  void OnInsert(FenceLink& link, Lsn insert) noexcept override;
  void OnFlush(FenceLink& link, Lsn flush) noexcept override;
  void OnReplay(FenceLink& link, Lsn replay, std::uint32_t timeline) noexcept override;
  void OnNudged(FenceLink& link) noexcept override;
  void OnRunning(FenceLink& link, Running running) noexcept override;
  void OnShown(FenceLink& link, std::span<const Xid> shown, bool more) noexcept override;
  void OnLinkClosed(FenceLink& link, const std::string& error) noexcept override;

  void BeforeWait();
  void AskPrimary(TimePoint now);
  void Poll(TimePoint now);
  void Watch(TimePoint now);
  void Arm();
  void OnTimer();
  void CloseLink(ServerId id);
  void CloseEpoch();
  void Well(ServerId id);
  void Void();
  [[nodiscard]] Epoch ViewEpoch() const;
  [[nodiscard]] bool Stands(TimePoint now) const;
  [[nodiscard]] FenceLink* PrimaryLink();
  void Drop(std::vector<FenceUser*>& list, FenceUser& user);
  template <class Due>
  void TellWaiting(Due due, void (FenceUser::*what)() noexcept);
  void TellReached(ServerId replica);
  [[nodiscard]] Lsn LeastAwaited() const;

  Env& env_;
  Fence fence_;
  Nudge nudge_;
  std::vector<Server> servers_;  // by ServerId
  FenceLink nudger_;
  std::optional<ServerId> primary_;  // whose link is the primary's
  ScramKeys keys_;                   // of the monitor's last login
  std::vector<FenceUser*> asking_;   // by ticket
  std::vector<FenceUser*> waiting_;
  std::vector<FenceUser*> told_;     // being called; null: left meanwhile
  std::vector<ServerId> askable_;    // scratch: replicas that settling reads may ask
  bool passed_over_ = false;         // a probe went before a read that settles: the latter has its turn
  Duration poll_gap_{};
  TimePoint next_poll_{}, next_flush_{}, armed_for_ = TimePoint::max();
  FenceSettle settle_;
  class BeforeWait before_wait_;
  FineTimer timer_;
};

}  // namespace waypost
