// Which ServerId each server has: its name's, for the life of the process. A place is not given to another server after it is
// removed, as pools, proofs and counts of the old one may live on. Any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/config/config.h"
#include "metrics/labels.h"

namespace waypost {

class ServerPlaces {
 public:
  // The first server of `config` for which there is no place left of the kMaxServers; "" if there is one for each.
  [[nodiscard]] std::string Lacking(const Config& config) const {
    const std::scoped_lock lock(mutex_);
    std::size_t taken = names_.size();
    for (const ServerConfig& server : config.servers)
      if (!Known(server.name) && ++taken > kMaxServers) return server.name;
    return "";
  }
  // Each server of `config` has a place from now on. There must be one.
  void Take(const Config& config) {
    const std::scoped_lock lock(mutex_);
    for (const ServerConfig& server : config.servers) {
      if (Known(server.name)) continue;
      WAYPOST_CHECK(names_.size() < kMaxServers);
      names_.push_back(server.name);
    }
  }
  // By ServerId.
  [[nodiscard]] std::vector<std::string> names() const {
    const std::scoped_lock lock(mutex_);
    return names_;
  }

 private:
  [[nodiscard]] bool Known(const std::string& name) const { return std::ranges::find(names_, name) != names_.end(); }

  mutable std::mutex mutex_;
  std::vector<std::string> names_;
};

}  // namespace waypost
