#include "core/process/listed_servers.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace waypost {
namespace {

Config File(DiscoverySource source, const std::vector<std::string>& names) {
  Config config;
  config.cluster.discovery.source = source;
  for (const auto& name : names) {
    auto& server = config.servers.emplace_back();
    server.name = name;
    server.host = "10.0.0." + name.substr(2);
  }
  return config;
}

FoundServer Found(const std::string& name) {
  FoundServer found;
  found.name = name;
  found.host = "10.0.0." + name.substr(2);
  found.port = ServerConfig().port;
  return found;
}

Result<FoundList> List(std::vector<FoundServer> servers) { return FoundList{"http://10.0.0.9", std::move(servers)}; }

// A process whose servers pg0, the primary, and pg1 are up; it does what it is told.
struct World {
  std::string refusal;               // of what is to come in force
  std::vector<std::string> in_force;  // the names, once something came in force
  std::vector<std::string> told;
  ListedServers listed;

  explicit World(DiscoverySource source = DiscoverySource::kPatroni)
      : listed(File(source, {"pg0", "pg1"}),
               {.view = [] { return Seen(); },
                .in_use = [](ServerId) { return false; },
                .admit = [this](const Config&) -> Result<bool> {
                  if (refusal.empty()) return true;
                  return Error{refusal};
                },
                .take = [this](const Config& config) { Take(config); },
                .tell = [this](const std::string& kind, const std::string&, const std::string&,
                               const std::string& server) { told.push_back(server.empty() ? kind : kind + " " + server); }}) {}

  static View Seen() {
    auto view = std::make_shared<ClusterView>();
    for (const auto* name : {"pg0", "pg1"}) {
      auto& server = view->servers.emplace_back();
      server.name = name;
      server.up = true;
    }
    view->primary = 0;
    return view;
  }
  void Take(const Config& config) {
    in_force.clear();
    for (const auto& server : config.servers) in_force.push_back(server.name);
  }
  void OnList(const Result<FoundList>& list) { listed.OnList(list, TimePoint{}); }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("what a list adds comes in force, and is told", "[core][listed_servers]") {
  World world;
  CHECK(world.listed.status().source == "patroni");
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.in_force == Names{"pg0", "pg1", "pg2"});
  CHECK(world.told == Names{"server_listed pg2"});
  const auto status = world.listed.status();
  CHECK(status.from == "http://10.0.0.9");
  CHECK(status.listed == 3);
  CHECK(status.error.empty());
}

TEST_CASE("what may not come in force is tried again, and told when it fails twice", "[core][listed_servers]") {
  World world;
  world.refusal = "no place";
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.in_force.empty());
  CHECK(world.told.empty());
  CHECK(world.listed.status().error.empty());
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.told == Names{"discovery_failed"});
  CHECK(world.listed.status().error == "no place");
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.told == Names{"discovery_failed"});
  world.refusal.clear();
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.in_force == Names{"pg0", "pg1", "pg2"});
  CHECK(world.listed.status().error.empty());
}

TEST_CASE("a list that cannot be read leaves what the last one said", "[core][listed_servers]") {
  World world;
  world.OnList(List({Found("pg0"), Found("pg1")}));
  world.OnList(Error{"gone"});
  CHECK(world.listed.status().error.empty());
  world.OnList(Error{"gone"});
  CHECK(world.listed.status().error == "gone");
  CHECK(world.listed.status().listed == 2);
  CHECK(world.in_force.empty());
}

TEST_CASE("servers that a list has added outlive a reload, but not the end of the list", "[core][listed_servers]") {
  World world;
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  const auto names = [&](const Config& file) {
    Names all;
    for (const auto& member : world.listed.MembersUnder(file)) all.push_back(member.name);
    return all;
  };
  CHECK(names(File(DiscoverySource::kPatroni, {"pg0", "pg1"})) == Names{"pg0", "pg1", "pg2"});
  CHECK(names(File(DiscoverySource::kProbe, {"pg0", "pg1"})) == Names{"pg0", "pg1"});
}

TEST_CASE("with another source nothing is left of the one before", "[core][listed_servers]") {
  World world;
  world.OnList(Error{"gone"});
  world.OnList(Error{"gone"});
  auto file = File(DiscoverySource::kRepmgr, {"pg0", "pg1"});
  auto members = world.listed.MembersUnder(file);
  world.listed.TakeFile(std::move(file), std::move(members));
  CHECK(world.listed.status().source == "repmgr");
  CHECK(world.listed.status().error.empty());
  world.OnList(Error{"refused"});
  CHECK(world.listed.status().error.empty());  // its first look
}

TEST_CASE("without a source a list that comes late is not followed", "[core][listed_servers]") {
  World world(DiscoverySource::kProbe);
  CHECK(world.listed.status().source.empty());
  world.OnList(List({Found("pg0"), Found("pg1"), Found("pg2")}));
  CHECK(world.in_force.empty());
  CHECK(world.listed.status().listed == 0);
}

}  // namespace waypost
