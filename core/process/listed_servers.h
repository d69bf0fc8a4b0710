// Which servers are in force: those of the configuration file, or those of a list that somebody else keeps ([cluster] discovery).
// What a list changes is decided in routing/membership.h; this carries it out and says what came of it.
// One caller at a time; status() any thread.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "core/admin/api.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/cluster/discovery.h"
#include "core/config/config.h"
#include "routing/cluster_view.h"
#include "routing/membership.h"

namespace waypost {

class ListedServers {
 public:
  // What it is given of the process.
  struct Uses {
    std::function<View()> view;
    std::function<bool(ServerId)> in_use;  // something of a client is under way there
    std::function<Result<bool>(const Config& config)> admit;  // may it come in force? The error says why not
    std::function<void(Config config)> take;  // it comes in force
    // For those who look at the events.
    std::function<void(const std::string& kind, const std::string& level, const std::string& text, const std::string& server)>
        tell;
  };
  // `file`: what the configuration file says. All of its servers are in force.
  ListedServers(Config file, Uses uses);

  // What the file said when it was taken last.
  [[nodiscard]] const Config& file() const { return file_; }
  // The servers that are in force once `file` is taken.
  [[nodiscard]] std::vector<Member> MembersUnder(const Config& file) const;
  // The file says something new, and these are in force. What is known of a list of another source is forgotten.
  void TakeFile(Config file, std::vector<Member> members);
  // A list was read at `now`, or could not be.
  void OnList(const Result<FoundList>& list, TimePoint now);
  [[nodiscard]] DiscoveryStatus status() const;

 private:
  [[nodiscard]] std::vector<KnownMember> Known() const;
  [[nodiscard]] std::string TakeMembers(const std::vector<Member>& members, const std::string& from);
  void TellChanges(const std::vector<Member>& members, const std::string& from) const;
  void Tell(const Result<FoundList>& list, std::string error, std::string contradiction);

  const Uses uses_;
  Config file_;
  std::vector<Member> members_;  // the servers in force
  Membership membership_;
  std::string error_;  // of the last look
  mutable std::mutex mutex_;
  DiscoveryStatus status_;  // under mutex_
};

}  // namespace waypost
