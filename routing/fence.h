// Which replica has replayed what a read must see. A read *joins* the next probe. A probe asks the primary for its WAL
// position; a replica whose replay position is seen at or past the answer, before the read's snapshot is taken, shows
// every commit that was acknowledged before the read joined. Pure; one per worker.
//
// The position is where the next record would be inserted, not what is flushed: a commit with synchronous_commit = off
// is acknowledged before it is flushed. Positions are comparable only within one epoch. A replica's known position
// holds for one incarnation of the replica, which may restart further back. A primary whose connection broke may have
// lost what it had not flushed, even within its epoch: its position then starts anew.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/lsn.h"
#include "core/base/time.h"
#include "routing/cluster_view.h"

namespace waypost {

struct Epoch {
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;
  std::int64_t primary_started_us = 0;  // pg_postmaster_start_time()
  bool operator==(const Epoch&) const = default;
};

// Where the last record ends, of where the next one begins (pg_current_wal_insert_lsn()): at the start of a page that is
// after the page's header, where no record ends and no replica ever stands. `segment_bytes`: wal_segment_size.
[[nodiscard]] Lsn RecordEnd(Lsn insert, std::uint64_t segment_bytes);

// Names the probe that a read joined. Later ones are greater.
using Ticket = std::uint64_t;

enum class Proof : std::uint8_t {
  kPending,  // the probe is not answered yet
  kProven,   // a read that starts there now sees what it must
  kBehind,   // the replica has not been seen to have replayed far enough
  kVoid,     // the probe will not be answered, or the replica is another incarnation: join again
};

class Fence {
 public:
  // What is known of a replica, to be noted before a read is sent there.
  struct Seen {
    std::uint32_t incarnation = 0;  // 0: nothing
    Lsn replay;
  };

  // The primary of `epoch` can be asked. Voids every ticket and every replica of another epoch.
  void OpenEpoch(const Epoch& epoch, std::uint64_t segment_bytes);
  // The primary cannot be asked any more, or may not be the primary any more: every ticket so far is void.
  void CloseEpoch();
  [[nodiscard]] bool open() const { return open_; }
  [[nodiscard]] const Epoch& epoch() const { return epoch_; }

  // Joins the next probe to be sent, never one in flight. Tickets taken while the epoch is closed wait for
  // the next one to open.
  [[nodiscard]] Ticket Join();
  // True if a probe should be sent: a read waits for it, and none is in flight.
  [[nodiscard]] bool ProbeDue() const { return open_ && !in_flight_ && wanted_ == next_; }
  void ProbeSent(TimePoint now);
  [[nodiscard]] bool in_flight() const { return in_flight_; }
  // The answer to the probe in flight: the primary's insert position, as it said.
  void OnProbe(Lsn insert, TimePoint now);

  // No probe that was joined so far will get an answer that counts.
  void VoidTickets();

  // A replica of this epoch can be asked; a new incarnation, of which nothing is known but `replay`.
  void OpenReplica(ServerId replica, Lsn replay);
  void CloseReplica(ServerId replica);
  [[nodiscard]] bool Knows(ServerId replica) const;
  [[nodiscard]] bool KnowsAny() const;
  // When asked at `asked`, it said that it has replayed up to `replay`.
  void OnReplay(ServerId replica, Lsn replay, TimePoint asked, TimePoint now);
  // A new connection for statements was made to it: perhaps to a later incarnation than the one that was asked last, whose
  // end did not get through. What is known of it does not count until it answers a question from now on.
  void Doubt(ServerId replica, TimePoint now);
  // Nothing while that is in doubt.
  [[nodiscard]] Seen SeenOf(ServerId replica) const;

  // The position that a read with this ticket must see; nothing while the probe is unanswered, or if it is void.
  [[nodiscard]] std::optional<Lsn> ReadIndex(Ticket ticket) const;
  [[nodiscard]] bool Void(Ticket ticket) const { return ticket <= void_up_to_; }
  // What is proved about a read with `ticket` that was sent to `replica` when `seen` was known of the replica.
  [[nodiscard]] Proof Check(Ticket ticket, ServerId replica, Seen seen) const;

  // True if waiting a moment for `replica` is useless: when last heard, it had not reached a position where the primary
  // had been long before. Replay is paused or delayed, or it is catching up.
  [[nodiscard]] bool FarBehind(ServerId replica) const;
  // True if the replica has not been seen at the last position known of the primary.
  [[nodiscard]] bool Trails(ServerId replica) const { return Knows(replica) && SeenOf(replica).replay < position_; }

  // The last position known of the primary.
  [[nodiscard]] Lsn position() const { return position_; }
  // True if a read sent together with its probe is likely to be confirmed: the position has not moved for a while, and
  // nothing is known to have written since `last_write`.
  [[nodiscard]] bool Quiet(TimePoint now, TimePoint last_write) const;
  // `replica` shows every commit that was acknowledged before this time; TimePoint{}: not known.
  [[nodiscard]] TimePoint FreshAsOf(ServerId replica) const;

 private:
  struct Replica {
    std::uint32_t incarnation = 0;  // 0: closed
    Lsn replay;
    TimePoint fresh_as_of{}, heard_at{};
    std::optional<TimePoint> doubted_at;
  };
  struct Position {
    Lsn lsn;
    TimePoint asked{};
  };
  static constexpr std::size_t kRemembered = 16;

  void Refresh(Replica& replica);

  bool open_ = false;
  bool in_flight_ = false;
  Epoch epoch_;
  std::uint64_t segment_bytes_ = 0;
  Ticket next_ = 1;      // the probe that is written next
  Ticket wanted_ = 0;    // the last one that somebody joined
  Ticket answered_ = 0;  // the last one that was answered
  Ticket void_up_to_ = 0;
  Lsn position_;
  TimePoint asked_at_{}, moved_at_{};
  std::array<Position, kRemembered> positions_{};  // the last answers that moved, and the last one
  std::size_t latest_ = 0;
  Position recent_, old_;  // of some time ago, and of as long before that
  std::uint32_t incarnations_ = 0;
  std::vector<Replica> replicas_;  // by ServerId
};

// When the primary must be made to flush: a read waits for a position that is still in the WAL buffers, and no commit
// will flush them soon. Pure; one per worker.
class Nudge {
 public:
  // The flush position, asked for while a read waits for `needed`. True: nudge now; then call this again no earlier than
  // the nudge is answered.
  [[nodiscard]] bool OnFlush(Lsn flush, Lsn needed, TimePoint now);

 private:
  Lsn last_;
  TimePoint last_at_{}, nudged_at_{};
};

}  // namespace waypost
