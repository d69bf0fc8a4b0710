// Makes one picture of the cluster from what each server said last: which server is the primary,
// which replicas may be read from, and why the others may not. Pure: no I/O, no clock.
//
// A replica is eligible when all of this held in the last samples:
//   it answers, is in recovery, has the primary's system identifier and timeline, and its WAL
//   receiver streams; the primary lists it once, as streaming, and as `sync` or `quorum`.
// That says where a read is worth trying. The fence (fence.h) proves for each read that it misses
// nothing that was acknowledged.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/lsn.h"
#include "core/base/time.h"
#include "routing/cluster_view.h"

namespace waypost {

// One row of the primary's pg_stat_replication.
struct ReplicationRow {
  std::string application_name;
  std::int32_t pid = 0;
  std::string state;  // "streaming", "catchup" ...
  SyncState sync_state = SyncState::kNone;
  Lsn sent_lsn, replay_lsn;
  std::chrono::microseconds replay_lag{0};
};

struct PrimarySample {
  Lsn insert_lsn, flush_lsn;
  std::string synchronous_standby_names;
  std::string synchronous_commit;         // as in the configuration file
  std::string synchronous_commit_source;  // pg_settings.source
  std::vector<std::string> lowered_by;    // roles and databases that set another synchronous_commit
  std::uint64_t segment_bytes = 0;        // wal_segment_size
  std::vector<ReplicationRow> standbys;
};

struct ReplicaSample {
  Lsn receive_lsn, replay_lsn;
  bool receiving = false;        // pg_stat_wal_receiver.status = 'streaming'
  std::string application_name;  // the name that it gives its primary; empty: not known
  std::vector<std::uint32_t> held_up_by{};  // see ServerView
};

struct ServerSample {
  TimePoint sent{};  // when the question was sent
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;
  std::int64_t started_us = 0;  // pg_postmaster_start_time()
  bool statistics_visible = true;  // the monitor's role may see who replicates from whom
  std::variant<PrimarySample, ReplicaSample> role;
};

// What the configuration says of a server, and its last answer.
struct ServerProbe {
  std::string name, host;
  std::uint16_t port = 0;
  bool removed = false;
  unsigned weight = 1;
  unsigned max_connections = 0;
  std::string application_name;  // from the configuration; empty: the one that the standby gives
  bool up = false;
  std::string error;                   // why not up
  std::optional<ServerSample> sample;  // the last answer, also while not up
};

// The value of each Role and SyncState as a metric label: "primary", "sync" ...
[[nodiscard]] std::string_view RoleName(Role role);
[[nodiscard]] std::string_view SyncStateName(SyncState state);
// "sync" -> kSync; kNone if it is none of PostgreSQL's.
[[nodiscard]] SyncState ParseSyncState(std::string_view name);

// True if the last samples of `server` and of the primary are at most two probe intervals old:
// `sampled` of a replica is the older of the two.
[[nodiscard]] bool FreshEnough(const ServerView& server, const ClusterView& view, TimePoint now);

// Judges sample after sample. Remembers what a single picture cannot show: the highest timeline
// accepted as primary, and how fresh each replica is. One thread only.
class ClusterHealth {
 public:
  // `servers` by ServerId. Samples of different servers may have different ages; one that did not
  // change is harmless.
  [[nodiscard]] ClusterView Judge(std::span<const ServerProbe> servers,
                                  milliseconds probe_interval);

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
  [[nodiscard]] std::string Refusal(const ServerProbe& claim,
                                    std::span<const ServerProbe> servers) const;
  [[nodiscard]] std::string JudgeReplica(const ServerProbe& probe, const ServerProbe& primary,
                                         ClusterView& view, ServerId id);
  void Remember(const ServerSample& primary);
  void JudgeAge(const ServerSample& replica, ServerView& server, ServerId id);

  std::uint64_t version_ = 0;
  std::uint64_t accepted_system_ = 0;
  std::uint32_t highest_timeline_ = 0;
  std::int64_t primary_started_us_ = 0;
  std::deque<Position> positions_;  // of the primary, the oldest in front
  std::vector<Memory> memories_;    // by ServerId
};

}  // namespace waypost
