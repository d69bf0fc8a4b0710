#include "routing/succession.h"

#include <algorithm>

namespace waypost {
namespace {

Term TermOf(const ServerSample& sample) { return {sample.system_identifier, sample.timeline}; }

// True if it follows a primary on timeline `term`.
bool Follows(const ServerProbe& probe, const Term& term) {
  if (!probe.up || probe.removed || !probe.sample) return false;
  const auto* replica = std::get_if<ReplicaSample>(&probe.sample->role);
  return replica != nullptr && replica->receiving && TermOf(*probe.sample) == term;
}

std::size_t Configured(std::span<const ServerProbe> servers) {
  return static_cast<std::size_t>(
      std::count_if(servers.begin(), servers.end(), [](const ServerProbe& server) { return !server.removed; }));
}

constexpr const char* kOverride = "; \"waypost accept\" overrides this";

}  // namespace

void Succession::Remember(const AcceptedTerm& before) {
  if (accepted_.timeline == 0) accepted_ = before;
}

void Succession::Override(const AcceptedTerm& accepted) {
  accepted_ = accepted;
  confirmed_ = accepted;
}

void Succession::NoteConfirming(const ClusterView& view) {
  confirming_.resize(view.servers.size());
  for (std::size_t id = 0; id < confirming_.size(); ++id) {
    const auto& server = view.servers[id];
    // Commits also wait for one that is gone.
    confirming_[id] = view.sync_guarantee && (server.sync_guarantee || (confirming_[id] && !server.streaming));
  }
}

Succession::Choice Succession::Choose(std::span<const ServerProbe> servers) {
  Choice choice;
  choice.refusals.resize(servers.size());
  heard_.resize(servers.size());
  for (ServerId id = 0; id < servers.size(); ++id)
    heard_[id] = !servers[id].removed && (heard_[id] || (servers[id].up && servers[id].sample));
  for (ServerId id = 0; id < servers.size(); ++id) {
    if (AsPrimary(servers[id]) == nullptr) continue;
    choice.refusals[id] = Refusal(id, servers);
    if (choice.refusals[id].empty()) choice.primary = id;
  }
  if (choice.primary) Accept(*choice.primary, servers);
  return choice;
}

// Why `claim`, which is not in recovery, must not be written to; "" if it may.
std::string Succession::Refusal(ServerId claim, std::span<const ServerProbe> servers) const {
  const auto term = TermOf(*servers[claim].sample);
  if (auto why = OldTerm(servers[claim]); !why.empty()) return why;
  if (auto why = Contradicted(claim, servers); !why.empty()) return why;
  if (term == confirmed_) return "";
  if (auto why = TooFewHeard(claim, servers); !why.empty()) return why;
  if (term == Term(accepted_)) return "";
  if (auto why = LeftAlone(claim, servers); !why.empty()) return why;
  const auto lost = LostWith(claim, servers);
  if (max_lost_bytes_ && lost > *max_lost_bytes_)
    return "it lacks " + std::to_string(lost) + " bytes of WAL that " + servers[*primary_].name +
           " had flushed, and max_lost_bytes is " + std::to_string(*max_lost_bytes_) + kOverride;
  return "";
}

std::string Succession::OldTerm(const ServerProbe& claim) const {
  const auto term = TermOf(*claim.sample);
  if (accepted_.timeline == 0) return "";
  if (term.system_identifier != accepted_.system_identifier)
    return "a primary of another cluster: its system identifier is " + std::to_string(term.system_identifier) +
           ", and that of the primary accepted before is " + std::to_string(accepted_.system_identifier) + kOverride;
  if (term.timeline < accepted_.timeline)
    return "a deposed primary: it is on timeline " + std::to_string(term.timeline) + ", and timeline " +
           std::to_string(accepted_.timeline) + " was seen before";
  if (term.timeline > accepted_.timeline && term.timeline <= accepted_.void_up_to)
    return "its timeline, " + std::to_string(term.timeline) + ", was set aside when an operator accepted timeline " +
           std::to_string(accepted_.timeline);
  return "";
}

// By what another server says of itself.
std::string Succession::Contradicted(ServerId claim, std::span<const ServerProbe> servers) const {
  const auto mine = TermOf(*servers[claim].sample);
  for (ServerId id = 0; id < servers.size(); ++id) {
    const ServerProbe& other = servers[id];
    if (id == claim || !other.up || other.removed || !other.sample) continue;
    const auto theirs = TermOf(*other.sample);
    const bool primary = AsPrimary(other) != nullptr;
    if (theirs.system_identifier != mine.system_identifier) continue;
    if (theirs.timeline > std::max(mine.timeline, accepted_.void_up_to))
      return "a deposed primary: it is on timeline " + std::to_string(mine.timeline) + ", " + other.name + " is on " +
             std::to_string(theirs.timeline);
    if (primary && theirs.timeline == mine.timeline)
      return "two primaries: " + other.name + " is on the same timeline " + std::to_string(mine.timeline);
  }
  return "";
}

// A primary with a lower timeline is there as well: it counts whom the others follow.
std::string Succession::LeftAlone(ServerId claim, std::span<const ServerProbe> servers) {
  const auto mine = TermOf(*servers[claim].sample);
  for (ServerId old = 0; old < servers.size(); ++old) {
    if (old == claim || AsPrimary(servers[old]) == nullptr) continue;
    const auto theirs = TermOf(*servers[old].sample);
    if (theirs.system_identifier != mine.system_identifier)
      return "two primaries of different clusters: " + servers[old].name + " has another system identifier";
    const auto followers = static_cast<std::size_t>(
        std::count_if(servers.begin(), servers.end(), [&](const ServerProbe& server) { return Follows(server, theirs); }));
    const auto others = Configured(servers) - 2;
    if (2 * followers > others)
      return "promoted beside " + servers[old].name + ", which is up and which " + std::to_string(followers) + " of " +
             std::to_string(others) + " other servers follow: it is accepted when they follow it, or when " + servers[old].name +
             " is gone" + kOverride;
  }
  return "";
}

// A newer primary may be among those that have not answered since this process began.
std::string Succession::TooFewHeard(ServerId claim, std::span<const ServerProbe> servers) const {
  if (quorate_) return "";
  const auto term = TermOf(*servers[claim].sample);
  const auto all = Configured(servers);
  const auto heard = static_cast<std::size_t>(std::count(heard_.begin(), heard_.end(), true));
  // OldTerm() has looked at what was accepted before: its word counts like that of a server, but not for more than half.
  const std::size_t memory = accepted_.timeline != 0 && term.timeline >= accepted_.timeline ? 1 : 0;
  if (2 * (heard + memory) > all && 2 * heard >= all) return "";
  return "only " + std::to_string(heard) + " of " + std::to_string(all) +
         " servers have answered since Waypost started: a newer primary may be among the others" +
         (accepted_.timeline == 0 ? "; a [cluster] state_file remembers what was accepted" : kOverride);
}

std::uint64_t Succession::LostWith(ServerId claim, std::span<const ServerProbe> servers) const {
  if (!primary_ || *primary_ == claim || (claim < confirming_.size() && confirming_[claim])) return 0;
  const auto& sample = *AsPrimary(servers[claim]);
  return sample.promoted_at.value != 0 && flushed_ > sample.promoted_at ? flushed_.value - sample.promoted_at.value : 0;
}

void Succession::Accept(ServerId primary, std::span<const ServerProbe> servers) {
  if (primary_ && *primary_ != primary) {
    lost_bytes_ = LostWith(primary, servers);
    ++successions_;
  }
  if (primary_ != primary) confirming_.clear();
  primary_ = primary;
  flushed_ = AsPrimary(servers[primary])->flush_lsn;
  static_cast<Term&>(accepted_) = TermOf(*servers[primary].sample);
  quorate_ = true;
}

}  // namespace waypost
