#include "routing/intents.h"

#include <algorithm>
#include <array>

namespace waypost {
namespace {

constexpr std::array<std::string_view, 3> kIntentNames = {"active", "drain", "maintenance"};

// It says that it is a primary, and is not believed.
bool Refused(const ServerView& server) { return server.up && server.role == Role::kUnknown && !server.error.empty(); }

}  // namespace

std::string_view IntentName(Intent intent) { return kIntentNames[static_cast<std::size_t>(intent)]; }

std::optional<Intent> ParseIntent(std::string_view name) {
  const auto at = std::find(kIntentNames.begin(), kIntentNames.end(), name);
  if (at == kIntentNames.end()) return std::nullopt;
  return static_cast<Intent>(at - kIntentNames.begin());
}

std::string WhyNotIntent(const ClusterView& view, std::string_view server, Intent intent) {
  if (intent == Intent::kActive || !view.primary || view.servers[*view.primary].name != server) return "";
  return std::string(server) + " is the primary: pause the cluster (POST /api/v1/cluster/pause) and promote another server first";
}

void ApplyIntents(const Intents& intents, ClusterView& view) {
  for (auto& server : view.servers) {
    const auto found = intents.find(server.name);
    if (found == intents.end() || server.removed) continue;
    if (found->second.weight) server.weight = *found->second.weight;
    server.intent = found->second.intent;
    if (server.intent == Intent::kActive || server.role == Role::kPrimary) continue;
    server.eligible = false;
    server.ineligible_why = server.intent == Intent::kDrain ? "drained by the operator" : "in maintenance, set by the operator";
  }
}

std::vector<ViewChange> ChangesBetween(const ClusterView& was, const ClusterView& is) {
  std::vector<ViewChange> changes;
  if (is.primary && was.primary != is.primary) {
    const auto& name = is.servers[*is.primary].name;
    const auto timeline = " on timeline " + std::to_string(is.servers[*is.primary].timeline);
    changes.push_back({"primary_changed", is.successions > was.successions, name + " is the primary now" + timeline, name});
  }
  if (!is.primary && was.primary)
    changes.push_back({"primary_lost", true, was.servers[*was.primary].name + " is the primary no longer, and there is no other",
                       was.servers[*was.primary].name});
  if (is.primary && is.successions != was.successions && is.lost_bytes > 0)
    changes.push_back({"wal_lost", true,
                       std::to_string(is.lost_bytes) + " bytes of WAL are lost: the last primary had flushed them, and " +
                           is.servers[*is.primary].name + " was promoted without them",
                       is.servers[*is.primary].name});
  for (std::size_t id = 0; id < is.servers.size(); ++id) {
    const auto& now = is.servers[id];
    if (now.removed || now.intent == Intent::kMaintenance) continue;
    const ServerView before = id < was.servers.size() ? was.servers[id] : ServerView{};
    if (now.up != before.up)
      changes.push_back({now.up ? "server_up" : "server_down", !now.up,
                         now.up ? now.name + " answers" : now.name + " does not answer: " + now.error, now.name});
    const bool another = is.primary && *is.primary != id;
    if (Refused(now) && !Refused(before) && (another || before.role == Role::kPrimary))
      changes.push_back({"server_deposed", true, now.name + " is used as a primary no longer: " + now.error, now.name});
    if (now.role != Role::kReplica || !now.up) continue;
    if (now.eligible && !before.eligible)
      changes.push_back({"replica_eligible", false, now.name + " may be read from", now.name});
    else if (!now.eligible && before.role == Role::kReplica && now.ineligible_why != before.ineligible_why)
      changes.push_back({"replica_ineligible", now.intent == Intent::kActive,
                         now.name + " may not be read from: " + now.ineligible_why, now.name});
  }
  return changes;
}

}  // namespace waypost
