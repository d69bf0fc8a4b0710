#include "routing/membership.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

namespace waypost {
namespace {

constexpr std::size_t kMaxHostBytes = 255;
constexpr std::size_t kMaxNameBytes = 63;   // as [[server]] name
constexpr std::size_t kMaxShownBytes = 80;
constexpr unsigned kTwice = 2;

bool IsAlnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// As [[server]] host.
bool IsHost(std::string_view host) {
  return host.size() <= kMaxHostBytes && std::ranges::all_of(host, [](char c) {
           return IsAlnum(c) || std::string_view("_-.:%").find(c) != std::string_view::npos;
         });
}

// As [[server]] name.
std::string Label(std::string_view text) {
  std::string label(text.substr(0, kMaxNameBytes));
  for (char& c : label)
    if (!IsAlnum(c) && c != '_' && c != '-' && c != '.') c = '_';
  return label.empty() ? "server" : label;
}

std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kMaxShownBytes));
  for (char& c : shown)
    if (c < ' ' || c > '~') c = '?';
  return "\"" + shown + "\"";
}

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <class Server>
std::string Address(const Server& server) {
  return Lower(server.host) + ":" + std::to_string(server.port);
}

bool Same(const FoundServer& found, const Member& member) {
  return found.host.empty() ? found.name == member.name : Address(found) == Address(member);
}

bool Has(std::span<const FoundServer> list, const Member& member) {
  return std::ranges::any_of(list, [&](const FoundServer& found) { return Same(found, member); });
}

const KnownMember* PrimaryOf(std::span<const KnownMember> known) {
  const auto primary = std::ranges::find_if(known, &KnownMember::primary);
  return primary == known.end() ? nullptr : &*primary;
}

// What is wrong with it whoever reads it.
std::string Broken(std::span<const FoundServer> list) {
  if (list.empty()) return "the list of servers is empty";
  if (list.size() > Membership::kMaxListed)
    return "the list has " + std::to_string(list.size()) + " servers, expected at most " + std::to_string(Membership::kMaxListed);
  std::map<std::string, const FoundServer*> addresses;
  for (const FoundServer& found : list) {
    if (!IsHost(found.host))
      return "server " + Shown(found.name) + " of the list has the host " + Shown(found.host) +
             ", expected an IP address or a host name";
    if (found.host.empty()) continue;
    if (found.port == 0) return "server " + Shown(found.name) + " of the list has no port";
    const auto [other, first] = addresses.emplace(Address(found), &found);
    if (!first)
      return "the list has " + Shown(found.name) + " and " + Shown(other->second->name) + " both at " + Address(found) +
             ", expected each address once";
  }
  return "";
}

}  // namespace

std::string Membership::Fault(std::span<const FoundServer> list, std::span<const KnownMember> known) {
  if (auto broken = Broken(list); !broken.empty()) return broken;
  if (const auto* primary = PrimaryOf(known)) {
    if (Has(list, *primary)) return "";
    return "the list lacks the accepted primary, " + primary->name + " at " + Address(*primary) +
           ": expected it under this very address";
  }
  const auto has = [&](const KnownMember& one) { return Has(list, one); };
  if (std::ranges::none_of(known, has)) return "no primary is accepted, and the list has none of the servers that are known";
  const auto lacked = std::ranges::find_if(known, [&](const KnownMember& one) { return one.up && !has(one); });
  if (lacked == known.end()) return "";
  return "no primary is accepted, and the list lacks " + lacked->name + " at " + Address(*lacked) + ", which answers";
}

std::string Membership::Contradiction(std::span<const FoundServer> list, std::span<const KnownMember> known) {
  const auto* ours = PrimaryOf(known);
  const auto theirs = std::ranges::find_if(list, &FoundServer::primary);
  if (ours == nullptr || theirs == list.end() || Same(*theirs, *ours)) {
    contradicted_ = 0;
    return "";
  }
  contradicted_ = std::min(contradicted_ + 1, kTwice);
  if (contradicted_ < kTwice) return "";
  return "the list has " + Shown(theirs->name) + " as primary, the accepted primary is " + ours->name;
}

std::string Membership::NameFor(const FoundServer& found) {
  const auto address = Address(found);
  auto name = Label(found.name);
  const auto free = [&](const std::string& candidate) {
    const auto taken = address_.find(candidate);
    return taken == address_.end() || taken->second == address;
  };
  if (!free(name)) name = Label(found.host + "-" + std::to_string(found.port));
  const auto base = name;
  for (unsigned number = 2; !free(name); ++number) {
    const auto suffix = "-" + std::to_string(number);
    name = base.substr(0, kMaxNameBytes - suffix.size());
    name += suffix;
  }
  address_[name] = address;
  return name;
}

Membership::Decision Membership::Follow(std::span<const FoundServer> list, std::span<const KnownMember> known, Duration patience,
                                        TimePoint now) {
  for (const KnownMember& one : known) address_[one.name] = Address(one);
  Decision decision;
  decision.contradiction = Contradiction(list, known);
  decision.refused = Fault(list, known);
  if (!decision.refused.empty()) {
    Missed();
    decision.members.assign(known.begin(), known.end());
    return decision;
  }
  const bool may_remove = PrimaryOf(known) != nullptr;
  std::map<std::string, unsigned> lacking;
  for (const KnownMember& one : known) {
    Member member = one;
    const bool listed = Has(list, one);
    if (!listed && may_remove) lacking[one.name] = std::min(lacking_[one.name] + 1, kTwice);
    if (listed) {
      member.draining = false;
    } else if (lacking[one.name] == kTwice) {
      if (!member.draining) drains_[one.name] = now;
      else if (!one.in_use || now - drains_[one.name] >= patience) continue;
      member.draining = true;
    }
    decision.members.push_back(std::move(member));
  }
  lacking_ = std::move(lacking);
  for (const FoundServer& found : list) {
    const bool there = std::ranges::any_of(known, [&](const KnownMember& one) { return Same(found, one); });
    if (!there && found.active && !found.host.empty())
      decision.members.push_back({.name = NameFor(found), .host = found.host, .port = found.port});
  }
  std::erase_if(drains_, [&](const auto& one) {
    return std::ranges::none_of(decision.members,
                                [&](const Member& member) { return member.draining && member.name == one.first; });
  });
  decision.changed = !std::ranges::equal(decision.members, known, [](const Member& a, const KnownMember& b) { return a == b; });
  return decision;
}

void Membership::Missed() { lacking_.clear(); }

}  // namespace waypost
