// Reads the list of servers that Patroni or repmgr keeps, again and again, on a thread of its own. What comes of it is decided
// elsewhere (routing/membership.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "routing/cluster_view.h"
#include "routing/membership.h"

namespace waypost {

struct FoundList {
  std::string from;  // a URL, or the name of a server
  std::vector<FoundServer> servers;
};

class Discovery {
 public:
  // Called on the thread of this with each list, or with why there is none now.
  using OnList = std::function<void(const Result<FoundList>&)>;

  // `view`: where repmgr's list is read: on the primary, or, while none is accepted, on a server that is up.
  Discovery(ConfigSnapshot config, std::function<View()> view, OnList on_list);
  ~Discovery();  // stops
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  void Start();
  // Waits for a look that is under way.
  void Stop();
  // Any thread. The servers are those in force, not those of the file alone. Looks at once if what is looked at has changed.
  void Reload(ConfigSnapshot config);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waypost
