#include "core/admin/cluster_metrics.h"

#include <array>
#include <utility>

#include "parser/sql/verdict.h"
#include "routing/decide.h"
#include "routing/health.h"
#include "routing/intents.h"

namespace waypost {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void AddOneHot(const ServerView& server, ScrapeOutput& output) {
  for (const Role role : {Role::kUnknown, Role::kPrimary, Role::kReplica})
    output.Add(Scraped::kServerRole, role == server.role ? 1 : 0, {server.name, std::string(RoleName(role))});
  if (server.role != Role::kReplica) return;
  for (const SyncState state : {SyncState::kNone, SyncState::kAsync, SyncState::kPotential, SyncState::kSync, SyncState::kQuorum})
    output.Add(Scraped::kServerSyncState, state == server.sync_state ? 1 : 0, {server.name, std::string(SyncStateName(state))});
}

void AddLsn(const ServerView& server, const char* kind, Lsn lsn, ScrapeOutput& output) {
  output.Add(Scraped::kServerWalLsn, static_cast<double>(lsn.value), {server.name, kind});
}

void AddReplica(const ServerView& server, const ClusterView& view, ScrapeOutput& output) {
  output.Add(Scraped::kReplicaEligible, server.eligible ? 1 : 0, {server.name});
  output.Add(Scraped::kReplicaSyncGuarantee, server.sync_guarantee ? 1 : 0, {server.name});
  AddLsn(server, "receive", server.receive_lsn, output);
  AddLsn(server, "replay", server.replay_lsn, output);
  if (!view.primary) return;
  const Lsn flushed = view.servers[*view.primary].flush_lsn;
  const auto behind = [&](Lsn lsn) { return flushed > lsn ? static_cast<double>(flushed.value - lsn.value) : 0.0; };
  output.Add(Scraped::kReplicationLagBytes, behind(server.receive_lsn), {server.name, "receive"});
  output.Add(Scraped::kReplicationLagBytes, static_cast<double>(server.lag_bytes), {server.name, "replay"});
  output.Add(Scraped::kReplicationLagSeconds, std::chrono::duration<double>(server.lag_time).count(), {server.name});
}

template <class E, class Name>
std::vector<std::string> Names(Name name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < static_cast<std::size_t>(E::kCount); ++i) names.emplace_back(name(static_cast<E>(i)));
  return names;
}

static_assert(static_cast<std::size_t>(Target::kCount) <= kMaxTargets);
static_assert(static_cast<std::size_t>(Reason::kCount) <= kMaxReasons);
static_assert(static_cast<std::size_t>(PinReason::kCount) <= kMaxPins);

}  // namespace

void AddClusterMetrics(const ClusterView& view, TimePoint now, ScrapeOutput& output) {
  output.Add(Scraped::kSyncGuarantee, view.sync_guarantee ? 1 : 0);
  output.Add(Scraped::kAcceptedTimeline, view.accepted.timeline);
  output.Add(Scraped::kStateSaved, view.accepted_saved ? 1 : 0);
  output.Add(Scraped::kPrimaryChanges, static_cast<double>(view.successions));
  output.Add(Scraped::kLostBytes, static_cast<double>(view.lost_bytes));
  for (const ServerView& server : view.servers) {
    if (server.removed) continue;
    output.Add(Scraped::kServerUp, server.up ? 1 : 0, {server.name});
    output.Add(Scraped::kServerConnectionsMax, server.max_connections, {server.name});
    AddOneHot(server, output);
    for (const auto intent : {Intent::kActive, Intent::kDrain, Intent::kMaintenance})
      output.Add(Scraped::kServerIntent, intent == server.intent ? 1 : 0, {server.name, std::string(IntentName(intent))});
    if (server.sampled == TimePoint{}) continue;  // never answered
    output.Add(Scraped::kLagSampleAge, Seconds(now - server.sampled), {server.name});
    output.Add(Scraped::kServerTimeline, server.timeline, {server.name});
    if (server.role == Role::kReplica) AddReplica(server, view, output);
    if (server.role != Role::kPrimary) continue;
    AddLsn(server, "insert", server.insert_lsn, output);
    AddLsn(server, "flush", server.flush_lsn, output);
  }
  if (!view.primary) return;
  const ServerView& primary = view.servers[*view.primary];
  output.Add(Scraped::kPrimaryInfo, 1,
             {primary.name, std::to_string(primary.timeline), std::to_string(primary.system_identifier)});
}

LabelTables MakeLabelTables(std::function<View()> view, std::function<std::vector<std::string>()> rules) {
  LabelTables tables;
  tables.rules = std::move(rules);
  tables.targets = Names<Target>(TargetName);
  tables.reasons = Names<Reason>(ReasonName);
  tables.pins = Names<PinReason>(PinReasonName);
  tables.pins[static_cast<std::size_t>(PinReason::kNone)].clear();
  tables.servers = [view = std::move(view)] {
    std::vector<std::string> names;
    if (const View now = view ? view() : nullptr)
      for (const ServerView& server : now->servers) names.push_back(server.name);
    if (names.size() > kMaxServers) names.resize(kMaxServers);
    return names;
  };
  return tables;
}

}  // namespace waypost
