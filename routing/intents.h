// What the operator wants of a server, and what that makes of the picture of the cluster. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "routing/cluster_view.h"

namespace waypost {

[[nodiscard]] std::string_view IntentName(Intent intent);
// Nothing if `name` is none of active, drain, maintenance.
[[nodiscard]] std::optional<Intent> ParseIntent(std::string_view name);

struct ServerIntent {
  Intent intent = Intent::kActive;
  std::optional<unsigned> weight;  // instead of the configuration's
  bool operator==(const ServerIntent&) const = default;
};
using Intents = std::map<std::string, ServerIntent>;  // by the server's name; who is not there is active

// "" if the server of that name may get `intent`, else why not: it is the primary. The name is known.
[[nodiscard]] std::string WhyNotIntent(const ClusterView& view, std::string_view server, Intent intent);

// Puts them into `view`: a replica that is drained or in maintenance is not to be read from. A server that has become the
// primary is used whatever was wanted of it as a replica: writes go before an old wish.
void ApplyIntents(const Intents& intents, ClusterView& view);

// What has changed from one view to the next, in words.
struct ViewChange {
  std::string
      kind;  // "primary_changed", "primary_lost", "wal_lost", "server_up", "server_down", "server_deposed", "replica_eligible" ...
  bool bad = false;  // somebody should look
  std::string text;
  std::string server;  // empty: the cluster
};
// Nothing of servers in maintenance.
[[nodiscard]] std::vector<ViewChange> ChangesBetween(const ClusterView& was, const ClusterView& is);

}  // namespace waypost
