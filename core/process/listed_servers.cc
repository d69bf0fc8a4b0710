#include "core/process/listed_servers.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "core/base/log.h"
#include "core/config/members.h"

namespace waypost {
namespace {

bool HasList(const Config& config) { return config.cluster.discovery.source != DiscoverySource::kProbe; }

std::string_view SourceOf(const Config& config) { return DiscoveryName(config.cluster.discovery.source); }

}  // namespace

ListedServers::ListedServers(Config file, Uses uses)
    : uses_(std::move(uses)), file_(std::move(file)), members_(MembersOf(file_)) {
  status_.source = SourceOf(file_);
}

std::vector<Member> ListedServers::MembersUnder(const Config& file) const {
  return HasList(file_) && HasList(file) ? MembersAfter(members_, file_, file) : MembersOf(file);
}

void ListedServers::TakeFile(Config file, std::vector<Member> members) {
  file_ = std::move(file);
  members_ = std::move(members);
  const std::scoped_lock lock(mutex_);
  if (SourceOf(file_) == status_.source) return;
  status_ = {};
  status_.source = SourceOf(file_);
  membership_.Missed();
  error_.clear();
}

DiscoveryStatus ListedServers::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

void ListedServers::OnList(const Result<FoundList>& list, TimePoint now) {
  if (!HasList(file_)) return;  // since a moment ago
  if (!list) {
    membership_.Missed();
    return Tell(list, list.error(), "");
  }
  auto decision = membership_.Follow(list->servers, Known(), file_.drain_timeout, now);
  if (decision.changed) decision.refused = TakeMembers(decision.members, list->from);
  Tell(list, std::move(decision.refused), std::move(decision.contradiction));
}

std::vector<KnownMember> ListedServers::Known() const {
  const auto view = uses_.view();
  std::vector<KnownMember> known;
  for (const Member& member : members_) {
    known.push_back({member});
    for (ServerId id = 0; view && id < view->servers.size(); ++id) {
      const ServerView& server = view->servers[id];
      if (server.name != member.name || server.removed) continue;
      known.back().up = server.up;
      known.back().primary = view->primary == id;
      known.back().in_use |= uses_.in_use(id);
    }
  }
  return known;
}

std::string ListedServers::TakeMembers(const std::vector<Member>& members, const std::string& from) {
  auto config = WithMembers(file_, members);
  if (const auto admitted = uses_.admit(config); !admitted) return admitted.error();
  TellChanges(members, from);
  members_ = members;
  uses_.take(std::move(config));
  return "";
}

void ListedServers::TellChanges(const std::vector<Member>& members, const std::string& from) const {
  const auto tell = [&](const std::string& server, const std::string& what) {
    Log(LogLevel::kInfo, "server_listed", {{"server", server}, {"what", what}, {"source", SourceOf(file_)}, {"from", from}});
    uses_.tell("server_listed", "info", server + " is " + what + ": the list of " + from, server);
  };
  const auto in = [](const std::vector<Member>& all, const Member& one) {
    return std::ranges::find(all, one.name, &Member::name);
  };
  for (const Member& before : members_)
    if (in(members, before) == members.end()) tell(before.name, "removed");
  for (const Member& now : members) {
    const auto before = in(members_, now);
    if (before == members_.end()) tell(now.name, "added");
    else if (now.draining && !before->draining) tell(now.name, "drained");
    else if (!now.draining && before->draining) tell(now.name, "kept");
  }
}

// A fault is told when a second look finds one: at first the servers may not have been asked yet.
void ListedServers::Tell(const Result<FoundList>& list, std::string error, std::string contradiction) {
  const auto source = SourceOf(file_);
  const std::scoped_lock lock(mutex_);
  const auto told = error_.empty() ? "" : error;
  if (!told.empty() && told != status_.error) {
    Log(LogLevel::kWarn, "discovery_failed", {{"source", source}, {"error", error}});
    uses_.tell("discovery_failed", "warning", "the servers stay as they are: " + error, "");
  }
  if (!contradiction.empty() && contradiction != status_.contradiction) {
    Log(LogLevel::kWarn, "discovery_contradicts", {{"source", source}, {"why", contradiction}});
    uses_.tell("discovery_contradicts", "warning", contradiction, "");
  }
  if (error.empty() && !status_.error.empty()) Log(LogLevel::kInfo, "discovery_works", {{"source", source}});
  status_.error = told;
  error_ = std::move(error);
  if (!list) return;
  status_.contradiction = std::move(contradiction);
  status_.from = list->from;
  status_.listed = list->servers.size();
  status_.at = std::chrono::system_clock::now();
}

}  // namespace waypost
