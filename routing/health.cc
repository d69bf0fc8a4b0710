#include "routing/health.h"

#include <algorithm>
#include <array>

#include "routing/fence.h"
#include "routing/standby_names.h"

namespace waypost {
namespace {

// How many of the primary's positions are remembered: a replica that is further back is as old as it
// was found then.
constexpr std::size_t kPositions = 256;

constexpr std::array<std::string_view, 3> kRoleNames = {"unknown", "primary", "replica"};
constexpr std::array<std::string_view, 5> kSyncStateNames = {"none", "async", "potential", "sync", "quorum"};

ServerView FirstView(const ServerProbe& probe) {
  ServerView view;
  view.name = probe.name;
  view.host = probe.host;
  view.port = probe.port;
  view.found_by = probe.found_by;
  view.removed = probe.removed;
  view.weight = probe.weight;
  view.max_connections = probe.max_connections;
  view.up = probe.up && !probe.removed;
  view.error = probe.error;
  if (!probe.sample) return view;
  const ServerSample& sample = *probe.sample;
  view.system_identifier = sample.system_identifier;
  view.timeline = sample.timeline;
  view.sampled = sample.sent;
  view.started_us = sample.started_us;
  if (const auto* primary = std::get_if<PrimarySample>(&sample.role)) {
    view.insert_lsn = primary->insert_lsn;
    view.flush_lsn = primary->flush_lsn;
  } else {
    const auto& replica = std::get<ReplicaSample>(sample.role);
    view.receive_lsn = replica.receive_lsn;
    view.replay_lsn = replica.replay_lsn;
    view.held_up_by = replica.held_up_by;
    if (view.up) view.role = Role::kReplica;
  }
  return view;
}

// "" if each commit waits until all that are named have applied it.
std::string WhyNoGuarantee(const PrimarySample& primary) {
  const auto names = ParseStandbyNames(primary.synchronous_standby_names);
  if (!names) return "Waypost does not understand synchronous_standby_names";
  if (names->count == 0) return "synchronous_standby_names is empty";
  if (primary.synchronous_commit_source == "user" || primary.synchronous_commit_source == "database" ||
      primary.synchronous_commit_source == "database user")
    return "synchronous_commit is set for the monitor's own role or database, which hides the "
           "server's own value";
  if (primary.synchronous_commit != "remote_apply")
    return "synchronous_commit is " + primary.synchronous_commit + ", not remote_apply";
  if (!primary.lowered_by.empty()) return "synchronous_commit is lowered by " + primary.lowered_by.front();
  if (!names->AllConfirm())
    return "synchronous_standby_names lets a commit return before every standby that it names has "
           "confirmed it";
  return "";
}

// "" if as many synchronous standbys stream as each commit waits for.
std::string WhyCommitsWait(const PrimarySample& primary) {
  const auto names = ParseStandbyNames(primary.synchronous_standby_names);
  if (!names || names->count == 0 || primary.synchronous_commit == "off" || primary.synchronous_commit == "local") return "";
  const auto there = std::count_if(primary.standbys.begin(), primary.standbys.end(), [&](const ReplicationRow& row) {
    return row.state == "streaming" && names->Lists(row.application_name);
  });
  if (static_cast<std::size_t>(there) >= names->count) return "";
  return "commits wait: synchronous_standby_names = '" + primary.synchronous_standby_names + "' asks for " +
         std::to_string(names->count) + " standby" + (names->count == 1 ? "" : "s") + ", and " + std::to_string(there) +
         (there == 1 ? " streams" : " stream");
}

std::uint64_t Behind(Lsn primary, Lsn replica) { return primary > replica ? primary.value - replica.value : 0; }

}  // namespace

std::string_view RoleName(Role role) { return kRoleNames[static_cast<std::size_t>(role)]; }
std::string_view SyncStateName(SyncState state) { return kSyncStateNames[static_cast<std::size_t>(state)]; }

SyncState ParseSyncState(std::string_view name) {
  const auto at = std::find(kSyncStateNames.begin(), kSyncStateNames.end(), name);
  return at == kSyncStateNames.end() ? SyncState::kNone : static_cast<SyncState>(at - kSyncStateNames.begin());
}

std::string WhyNoPrimary(const ClusterView& view) {
  std::string why = "no primary is known";
  const char* before = ": ";
  for (const ServerView& server : view.servers) {
    if (server.removed) continue;
    why += before + server.name + ": " +
           (server.up && server.role == Role::kReplica ? "a replica"
            : server.up                                ? server.error
                                                       : "down: " + server.error);
    before = "; ";
  }
  return why;
}

bool FreshEnough(const ServerView& server, const ClusterView& view, TimePoint now) {
  return now - server.sampled <= 2 * view.probe_interval;
}

ClusterView ClusterHealth::Judge(std::span<const ServerProbe> servers, milliseconds probe_interval) {
  ClusterView view;
  view.version = ++version_;
  view.probe_interval = probe_interval;
  memories_.resize(servers.size());
  for (const ServerProbe& probe : servers) view.servers.push_back(FirstView(probe));
  FindPrimary(servers, view);
  if (!view.primary) {
    view.sync_guarantee_why = "no primary is known";
  } else {
    view.sync_guarantee_why = WhyNoGuarantee(*AsPrimary(servers[*view.primary]));
    Remember(*servers[*view.primary].sample);
  }
  view.sync_guarantee = view.sync_guarantee_why.empty();
  if (view.primary && servers[*view.primary].sample->statistics_visible)
    view.commits_wait_why = WhyCommitsWait(*AsPrimary(servers[*view.primary]));
  for (ServerId id = 0; id < servers.size(); ++id) {
    ServerView& server = view.servers[id];
    if (server.removed) server.ineligible_why = "removed from the configuration";
    else if (!server.up) server.ineligible_why = "down: " + server.error;
    else if (server.role != Role::kReplica) server.ineligible_why = "not a replica";
    else if (!view.primary) server.ineligible_why = "no primary is known";
    else server.ineligible_why = JudgeReplica(servers[id], servers[*view.primary], view, id);
    server.eligible = server.ineligible_why.empty();
    if (server.up && server.role == Role::kReplica) JudgeAge(*servers[id].sample, server, id);
  }
  if (view.primary) succession_.NoteConfirming(view);
  return view;
}

void ClusterHealth::Remember(const ServerSample& primary) {
  const auto& sample = std::get<PrimarySample>(primary.role);
  if (primary.started_us != primary_started_us_) {
    positions_.clear();
    for (Memory& memory : memories_) memory = {};
  }
  primary_started_us_ = primary.started_us;
  const Position position{RecordEnd(sample.insert_lsn, sample.segment_bytes), primary.sent};
  if (!positions_.empty() && positions_.back().asked >= position.asked) return;
  // Of a position that stands still the last time counts.
  if (!positions_.empty() && positions_.back().lsn == position.lsn) positions_.pop_back();
  positions_.push_back(position);
  if (positions_.size() > kPositions) positions_.pop_front();
}

// How old what the replica shows may be: it is as fresh as the last position of the primary that it has replayed.
void ClusterHealth::JudgeAge(const ServerSample& replica, ServerView& server, ServerId id) {
  Memory& memory = memories_[id];
  if (memory.started_us != replica.started_us) memory = {};
  memory.started_us = replica.started_us;
  const bool orphaned = server.ineligible_why == "no primary is known" &&
                        Term{server.system_identifier, server.timeline} == Term(succession_.accepted());
  if (orphaned) {
    server.readable = memory.streaming;
    server.sync_state = memory.sync_state;
  } else {
    server.readable = server.streaming;
    // Its receiver may be gone before the primary is found to be.
    if (server.streaming) memory.sync_state = server.sync_state;
    memory.streaming = memory.streaming || server.streaming;
  }
  if (server.streaming || orphaned)
    for (auto position = positions_.rbegin(); position != positions_.rend(); ++position) {
      if (position->lsn > server.replay_lsn) continue;
      memory.fresh_as_of = std::max(memory.fresh_as_of, position->asked);
      break;
    }
  server.fresh_as_of = memory.fresh_as_of;
}

void ClusterHealth::FindPrimary(std::span<const ServerProbe> servers, ClusterView& view) {
  auto choice = succession_.Choose(servers);
  for (ServerId id = 0; id < servers.size(); ++id)  // the role of one that is refused stays unknown: nothing is sent there
    if (AsPrimary(servers[id]) != nullptr) view.servers[id].error = std::move(choice.refusals[id]);
  view.primary = choice.primary;
  view.accepted = succession_.accepted();
  view.successions = succession_.successions();
  view.lost_bytes = succession_.lost_bytes();
  if (view.primary) view.servers[*view.primary].role = Role::kPrimary;
}

// Why it is not to be read from; "" if it is.
std::string ClusterHealth::JudgeReplica(const ServerProbe& probe, const ServerProbe& primary, ClusterView& view, ServerId id) {
  ServerView& server = view.servers[id];
  const ServerSample& mine = *probe.sample;
  const auto& replica = std::get<ReplicaSample>(mine.role);
  const auto& upstream = std::get<PrimarySample>(primary.sample->role);
  server.sampled = std::min(mine.sent, primary.sample->sent);
  if (mine.system_identifier != primary.sample->system_identifier) return "it belongs to another cluster than the primary";
  server.lag_bytes = Behind(upstream.flush_lsn, replica.replay_lsn);
  const std::string& name = probe.application_name.empty() ? replica.application_name : probe.application_name;
  const ReplicationRow* row = nullptr;
  std::size_t rows = 0;
  for (const ReplicationRow& candidate : upstream.standbys) {
    if (candidate.application_name != name || name.empty()) continue;
    row = &candidate;
    ++rows;
  }
  if (rows == 1) {
    server.sync_state = row->sync_state;
    server.lag_time = row->replay_lag;
    server.streaming = replica.receiving && row->state == "streaming" && mine.timeline == primary.sample->timeline;
  }
  const bool synchronous = server.sync_state == SyncState::kSync || server.sync_state == SyncState::kQuorum;
  server.sync_guarantee = view.sync_guarantee && server.streaming && synchronous;
  if (!mine.statistics_visible || !primary.sample->statistics_visible)
    return "the monitor's role may not see the replication state: GRANT pg_monitor to it";
  if (!replica.receiving) return "not streaming: its WAL receiver is not connected";
  if (mine.timeline != primary.sample->timeline)
    return "on timeline " + std::to_string(mine.timeline) + ", the primary is on " + std::to_string(primary.sample->timeline);
  if (rows == 0) return "the primary lists no standby called \"" + name + "\"";
  if (rows > 1) return std::to_string(rows) + " standbys are called \"" + name + "\": give each its own application_name";
  if (row->state != "streaming") return "the primary lists it as " + row->state;
  if (!synchronous) return "its sync_state is " + std::string(SyncStateName(row->sync_state));
  return "";
}

}  // namespace waypost
