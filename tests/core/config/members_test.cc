#include "core/config/members.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

ServerConfig Seed(std::string name, std::string host, std::uint16_t port) {
  ServerConfig server;
  server.name = std::move(name);
  server.host = std::move(host);
  server.port = port;
  server.tls = ServerTls::kRequire;
  server.max_connections = 7;
  server.weight = 3;
  server.application_name = "standby";
  return server;
}

Config With(std::vector<ServerConfig> seeds) {
  Config config;
  config.cluster.discovery.source = DiscoverySource::kRepmgr;
  config.servers = std::move(seeds);
  return config;
}

Member At(std::string name, std::string host, std::uint16_t port) {
  Member member;
  member.name = std::move(name);
  member.host = std::move(host);
  member.port = port;
  return member;
}

std::string Names(const std::vector<Member>& members) {
  std::string names;
  for (const auto& member : members) names += (names.empty() ? "" : " ") + member.name;
  return names;
}

}  // namespace

TEST_CASE("a server that was found has what its [[server]] says, or what the first one says", "[core][config][members]") {
  auto drained = At("pg0", "PG0.example", 1);
  drained.draining = true;
  const std::vector<Member> members = {At("pg1", "10.0.0.2", 2), drained, At("pg2", "10.0.0.3", 3)};
  const auto config = WithMembers(With({Seed("pg0", "pg0.example", 1), Seed("pg1", "10.0.0.2", 2)}), members);
  REQUIRE(config.servers.size() == 3);
  CHECK(config.servers[0].name == "pg1");
  CHECK(config.servers[0].weight == 3);
  CHECK(config.servers[0].found_by.empty());
  CHECK(config.servers[1].name == "pg0");
  CHECK(config.servers[1].weight == 0);
  CHECK(config.servers[1].found_by.empty());
  const auto& found = config.servers[2];
  CHECK(found.name == "pg2");
  CHECK(found.host == "10.0.0.3");
  CHECK(found.port == 3);
  CHECK(found.found_by == "repmgr");
  CHECK(found.tls == ServerTls::kRequire);
  CHECK(found.max_connections == 7);
  CHECK(found.weight == 1);
  CHECK(found.application_name.empty());
}

TEST_CASE("a reload adds what is new in the file, and leaves what was found", "[core][config][members]") {
  const auto before = With({Seed("pg0", "a", 1), Seed("pg1", "a", 2)});
  const std::vector<Member> members = {At("pg0", "a", 1), At("pg7", "a", 7)};  // pg1 was removed by the list
  CHECK(Names(MembersAfter(members, before, before)) == "pg0 pg7");
  CHECK(Names(MembersAfter(members, before, With({Seed("pg0", "a", 1), Seed("pg2", "a", 3)}))) == "pg0 pg7 pg2");
  CHECK(Names(MembersAfter(members, before, With({Seed("new", "a", 1)}))) == "new pg7");
  const auto taken = MembersAfter(members, before, With({Seed("pg0", "a", 1), Seed("pg7", "b", 9)}));
  CHECK(Names(taken) == "pg0 pg7");
  CHECK(taken[1].host == "b");
  CHECK(Names(MembersOf(before)) == "pg0 pg1");
}

}  // namespace waypost
