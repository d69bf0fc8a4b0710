#include "core/config/members.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace waypost {
namespace {

bool SameHost(const std::string& a, const std::string& b) {
  return std::ranges::equal(a, b,
                            [](unsigned char one, unsigned char other) { return std::tolower(one) == std::tolower(other); });
}

template <class A, class B>
bool SamePlace(const A& a, const B& b) {
  return a.port == b.port && SameHost(a.host, b.host);
}

}  // namespace

std::string_view DiscoveryName(DiscoverySource source) {
  switch (source) {
    case DiscoverySource::kProbe: return "";
    case DiscoverySource::kPatroni: return "patroni";
    case DiscoverySource::kRepmgr: return "repmgr";
  }
  return "";
}

Config WithMembers(Config config, std::span<const Member> members) {
  const auto seeds = std::exchange(config.servers, {});
  for (const Member& member : members) {
    const auto seed = std::ranges::find_if(seeds, [&](const ServerConfig& one) { return SamePlace(one, member); });
    ServerConfig server = seed != seeds.end() ? *seed : seeds.front();
    if (seed == seeds.end()) {
      server.name = member.name;
      server.host = member.host;
      server.port = member.port;
      server.weight = ServerConfig{}.weight;
      server.application_name.clear();
      server.tls_server_name.clear();
      server.found_by = DiscoveryName(config.cluster.discovery.source);
    }
    if (member.draining) server.weight = 0;
    config.servers.push_back(std::move(server));
  }
  return config;
}

std::vector<Member> MembersAfter(std::span<const Member> members, const Config& before, const Config& after) {
  std::vector<Member> result;
  const auto named = [&](const std::string& name) {
    return std::ranges::any_of(after.servers, [&](const ServerConfig& seed) { return seed.name == name; });
  };
  for (const Member& member : members) {
    const auto seed = std::ranges::find_if(after.servers, [&](const ServerConfig& one) { return SamePlace(one, member); });
    // A [[server]] that has taken the name of a found one comes instead; the list brings that one back under another name.
    if (seed == after.servers.end() && named(member.name)) continue;
    result.push_back(member);
    if (seed != after.servers.end()) result.back().name = seed->name;
  }
  for (const ServerConfig& seed : after.servers) {
    const auto there = [&](const auto& one) { return SamePlace(seed, one); };
    if (std::ranges::none_of(before.servers, there) && std::ranges::none_of(result, there))
      result.push_back({.name = seed.name, .host = seed.host, .port = seed.port});
  }
  return result;
}

std::vector<Member> MembersOf(const Config& config) {
  std::vector<Member> members;
  members.reserve(config.servers.size());
  for (const ServerConfig& server : config.servers)
    members.push_back({.name = server.name, .host = server.host, .port = server.port});
  return members;
}

}  // namespace waypost
