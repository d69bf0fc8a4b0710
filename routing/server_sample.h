// What a server says of itself when it is asked, and what is known of it beside that. Pure data.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
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
  Lsn promoted_at;  // where it left recovery; invalid if it began as a primary
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
  std::string found_by;          // "patroni", "repmgr"; empty: the configuration has it
  bool up = false;
  std::string error;                   // why not up
  std::optional<ServerSample> sample;  // the last answer, also while not up
};

// What it says as a primary; nullptr if it does not answer, or is in recovery.
[[nodiscard]] inline const PrimarySample* AsPrimary(const ServerProbe& probe) {
  return probe.up && !probe.removed && probe.sample ? std::get_if<PrimarySample>(&probe.sample->role) : nullptr;
}

}  // namespace waypost
