// What the workers know of the servers, above all their fences; for the administrator. Plain values.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/lsn.h"
#include "core/server/login_refusals.h"

namespace waypost {

struct FenceReport {
  struct Server {
    Lsn replay;            // a replica's, as last heard
    unsigned proving = 0;  // workers that can prove reads on it
    std::string error;     // why one cannot; may be empty
  };
  unsigned workers = 0;  // how many answered
  unsigned open = 0;     // of them, those that can ask the primary for its position
  Lsn position;          // the read index last heard of
  std::vector<Server> servers;              // by ServerId; may be shorter than the server list
  std::vector<LoginRefusal> refusals = {};  // one for each server, database and user

  // Why no worker can prove a read on that server to see all that was acknowledged; "": one can.
  [[nodiscard]] std::string WhyUnproved(std::size_t server) const {
    if (open == 0) return "the primary cannot be asked for its position";
    const auto& its = server < servers.size() ? servers[server] : Server{};
    if (its.proving > 0) return "";
    return "it cannot be asked how far it has replayed" + (its.error.empty() ? "" : ": " + its.error);
  }

  void Add(const FenceReport& other) {
    workers += other.workers;
    open += other.open;
    position = std::max(position, other.position);
    servers.resize(std::max(servers.size(), other.servers.size()));
    for (std::size_t i = 0; i < other.servers.size(); ++i) {
      auto& mine = servers[i];
      const auto& theirs = other.servers[i];
      mine.replay = std::max(mine.replay, theirs.replay);
      mine.proving += theirs.proving;
      if (mine.error.empty()) mine.error = theirs.error;
    }
    for (const auto& refusal : other.refusals) {
      const bool known = std::any_of(refusals.begin(), refusals.end(), [&](const LoginRefusal& one) {
        return one.server == refusal.server && one.database == refusal.database && one.user == refusal.user;
      });
      if (!known) refusals.push_back(refusal);
    }
  }
};

}  // namespace waypost
