// An immutable picture of all servers, as the prober last saw them. Pure; one shared_ptr is swapped for the next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/lsn.h"
#include "core/base/time.h"

namespace waypost {

// Index into ClusterView::servers. The same name keeps its id for the life of the process, reloads included.
using ServerId = std::uint16_t;

enum class Role : std::uint8_t { kUnknown, kPrimary, kReplica };
// What the operator wants of a server (intents.h).
enum class Intent : std::uint8_t { kActive, kDrain, kMaintenance };
enum class SyncState : std::uint8_t { kNone, kAsync, kPotential, kSync, kQuorum };

// A term of office: the timeline that a primary is on, of one cluster. Each promotion begins a new timeline.
struct Term {
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;  // 0: there is none
  bool operator==(const Term&) const = default;
};

struct AcceptedTerm : Term {
  std::uint32_t void_up_to = 0;  // other timelines up to this one were set aside by an operator
  bool operator==(const AcceptedTerm&) const = default;
};

struct ServerView {
  std::string name, host;
  std::uint16_t port = 0;
  std::string found_by;        // who says that there is this server: "patroni", "repmgr"; empty: the configuration
  bool removed = false;        // no longer in the configuration, or in the list of who says so
  Intent intent = Intent::kActive;
  unsigned weight = 1;         // share of reads; 0: none
  unsigned max_connections = 0;
  bool up = false;             // the last probe was answered
  Role role = Role::kUnknown;
  std::string error;           // why not up: the last probe's error
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;
  TimePoint sampled{};         // when the last answered probe was *sent*
  std::int64_t started_us = 0;  // pg_postmaster_start_time()
  // primary
  Lsn insert_lsn, flush_lsn;
  // replica, from its own answers and from the primary's pg_stat_replication
  Lsn receive_lsn, replay_lsn;
  bool streaming = false;      // of the primary's timeline: its walreceiver streams, and the primary lists it so
  SyncState sync_state = SyncState::kNone;
  std::uint64_t lag_bytes = 0;           // primary's flush LSN minus replay LSN
  // Processes whose locks or snapshots kept it from replaying more at `sampled`; not all of them need be known.
  std::vector<std::uint32_t> held_up_by;
  std::chrono::microseconds lag_time{0};  // pg_stat_replication.replay_lag; 0 when caught up
  TimePoint fresh_as_of{};     // it shows every commit that was acknowledged before this time; {}: not known
  bool readable = false;       // streaming, or it was when there was a primary: good for reads that may be old
  bool sync_guarantee = false;  // every commit waits until this replica has applied it, unless its session says otherwise
  bool eligible = false;       // may be read from behind the fence, as far as read_from = "synchronous" goes
  std::string ineligible_why;  // "" if eligible: "its sync_state is async", "not streaming", ...
};

struct ClusterView {
  std::uint64_t version = 0;
  std::vector<ServerView> servers;   // by ServerId
  std::optional<ServerId> primary;   // none: not found, or none that may be believed: see the errors of the servers
  AcceptedTerm accepted;            // the newest that was
  bool accepted_saved = true;        // in the state file, if there is to be one
  std::uint64_t successions = 0;     // how often one primary took the place of another
  std::uint64_t lost_bytes = 0;      // of WAL that the last primary had flushed and the present one has not
  bool sync_guarantee = false;       // every standby that synchronous_standby_names names confirms each commit at remote_apply
  std::string sync_guarantee_why;    // why not
  std::string commits_wait_why;      // commits on the primary wait for a standby that is not there; empty: they do not
  milliseconds probe_interval{250};
};

using View = std::shared_ptr<const ClusterView>;

// True if the process `pid` on `server` has kept it from replaying more, at some time since `since`.
[[nodiscard]] inline bool HeldUpBy(const ServerView& server, std::uint32_t pid, TimePoint since) {
  return server.sampled >= since && std::find(server.held_up_by.begin(), server.held_up_by.end(), pid) != server.held_up_by.end();
}

}  // namespace waypost
