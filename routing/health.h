// Makes one picture of the cluster from what each server said last: which server is the primary,
// which replicas may be read from, and why the others may not. Pure: no I/O, no clock.
//
// A replica is eligible when all of this held in the last samples:
//   it answers, is in recovery, has the primary's system identifier and timeline, and its WAL
//   receiver streams; the primary lists it once, as streaming, and as `sync` or `quorum`.
// That says where a read is worth trying. The fence (fence.h) proves for each read that it misses
// nothing that was acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/base/lsn.h"
#include "core/base/time.h"
#include "routing/cluster_view.h"
#include "routing/server_sample.h"
#include "routing/succession.h"

namespace waypost {

// The value of each Role and SyncState as a metric label: "primary", "sync" ...
[[nodiscard]] std::string_view RoleName(Role role);
[[nodiscard]] std::string_view SyncStateName(SyncState state);
// "sync" -> kSync; kNone if it is none of PostgreSQL's.
[[nodiscard]] SyncState ParseSyncState(std::string_view name);

// "no primary is known: pg0 is ...; pg1 is ...": of each server what it says, or why it is not believed.
[[nodiscard]] std::string WhyNoPrimary(const ClusterView& view);

// True if the last samples of `server` and of the primary are at most two probe intervals old:
// `sampled` of a replica is the older of the two.
[[nodiscard]] bool FreshEnough(const ServerView& server, const ClusterView& view, TimePoint now);

// Judges sample after sample. Remembers what a single picture cannot show: what was accepted as primary, and how fresh each
// replica is. One thread only.
class ClusterHealth {
 public:
  // What was accepted before, and what may be.
  [[nodiscard]] Succession& succession() { return succession_; }
  // `servers` by ServerId. Samples of different servers may have different ages; one that did not
  // change is harmless.
  [[nodiscard]] ClusterView Judge(std::span<const ServerProbe> servers, milliseconds probe_interval);

 private:
  // A position of the primary, and when it was asked for.
  struct Position {
    Lsn lsn;
    TimePoint asked{};
  };
  // What is known of a replica from the last primary.
  struct Memory {
    std::int64_t started_us = 0;
    TimePoint fresh_as_of{};
    SyncState sync_state = SyncState::kNone;
    bool streaming = false;  // it has been
  };

  void FindPrimary(std::span<const ServerProbe> servers, ClusterView& view);
  [[nodiscard]] std::string JudgeReplica(const ServerProbe& probe, const ServerProbe& primary, ClusterView& view, ServerId id);
  void Remember(const ServerSample& primary);
  void JudgeAge(const ServerSample& replica, ServerView& server, ServerId id);

  std::uint64_t version_ = 0;
  Succession succession_;
  std::int64_t primary_started_us_ = 0;
  std::deque<Position> positions_;  // of the primary, the oldest in front
  std::vector<Memory> memories_;    // by ServerId
};

}  // namespace waypost
