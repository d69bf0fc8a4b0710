#include "core/cluster/accept.h"

#include <algorithm>

#include "core/cluster/state_file.h"

namespace waypost {

Result<std::string> AcceptPrimary(const Config& config, const ClusterView& view, const std::string& server) {
  if (config.cluster.state_file.empty())
    return Error{"there is no [cluster] state_file in " + config.path + ": it is where a running Waypost hears of this"};
  const auto found = std::find_if(view.servers.begin(), view.servers.end(),
                                  [&](const ServerView& candidate) { return candidate.name == server; });
  if (found == view.servers.end()) return Error{"found no [[server]] called \"" + server + "\" in " + config.path};
  if (!found->up) return Error{server + " does not answer: " + found->error};
  if (found->role == Role::kReplica) return Error{server + " is in recovery: promote it first"};
  auto file = StateFile::Open(config.cluster.state_file);
  if (!file) return Error{file.error()};
  SavedState state{{{found->system_identifier, found->timeline}, found->timeline}, true, server};
  for (const ServerView& other : view.servers)
    if (other.system_identifier == found->system_identifier)
      state.accepted.void_up_to = std::max(state.accepted.void_up_to, other.timeline);
  const auto& before = file->saved();
  if (before && before->accepted.system_identifier == found->system_identifier)
    state.accepted.void_up_to = std::max(state.accepted.void_up_to, before->accepted.timeline);
  if (const auto saved = file->Save(state); !saved) return Error{saved.error()};
  return "accepted " + server + " on timeline " + std::to_string(found->timeline) + " as the primary of system " +
         std::to_string(found->system_identifier) + "; reload a running Waypost (SIGHUP) to make it so";
}

}  // namespace waypost
