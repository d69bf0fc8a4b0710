#include "routing/kept_reads.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace waypost {
namespace {

const TimePoint kNow{seconds(100)};

ServerView Server(const char* name, Role role) {
  ServerView server;
  server.name = name;
  server.up = true;
  server.role = role;
  server.sampled = server.fresh_as_of = kNow;
  server.ineligible_why = role == Role::kReplica ? "" : "not a replica";
  server.streaming = server.eligible = role == Role::kReplica;
  server.sync_state = SyncState::kSync;
  return server;
}

// A primary and two replicas that may be read from.
struct Cluster {
  ClusterView view;
  std::vector<RoutingPolicy> policies{RoutingPolicy{}};
  std::vector<std::string> unproved{"", "", ""};

  Cluster() {
    view.servers = {Server("pg0", Role::kPrimary), Server("pg1", Role::kReplica), Server("pg2", Role::kReplica)};
    view.primary = ServerId{0};
  }
  void Lame(ServerId id, const char* why) {
    view.servers[id].streaming = view.servers[id].eligible = false;
    view.servers[id].ineligible_why = why;
  }
  [[nodiscard]] std::string Why() const { return WhyReadsAreKept(view, policies, unproved, kNow); }
};

}  // namespace

TEST_CASE("one replica to read from is enough", "[routing][kept_reads]") {
  Cluster cluster;
  CHECK(cluster.Why().empty());
  cluster.Lame(1, "not streaming");
  CHECK(cluster.Why().empty());
}

TEST_CASE("where no replica may be read from, each says why", "[routing][kept_reads]") {
  Cluster cluster;
  cluster.Lame(1, "the primary lists no standby called \"x\"");
  SECTION("by the view") {
    cluster.view.servers[2].up = false;
    cluster.view.servers[2].ineligible_why = "down: refused";
    CHECK(cluster.Why() == "pg1: the primary lists no standby called \"x\"; pg2: down: refused");
  }
  SECTION("by the fence") {
    cluster.unproved[2] = "it cannot be asked how far it has replayed: no";
    CHECK(cluster.Why() == "pg1: the primary lists no standby called \"x\"; pg2: it cannot be asked how far it has replayed: no");
  }
  SECTION("by how long it has not been up to date") {
    cluster.view.servers[2].fresh_as_of = kNow - milliseconds(5'000);
    CHECK(cluster.Why().empty());
    cluster.view.servers[2].fresh_as_of = kNow - milliseconds(5'001);
    CHECK(cluster.Why() ==
          "pg1: the primary lists no standby called \"x\"; pg2: its replay has lagged behind the primary for more than 5 s");
    cluster.view.probe_interval = seconds(10);  // it is not looked at more often
    CHECK(cluster.Why().empty());
    cluster.view.servers[2].fresh_as_of = {};
    cluster.policies.emplace_back().consistency = Consistency::kEventual;
    CHECK(cluster.Why().empty());
  }
  SECTION("but for a policy that needs no proof, or that takes any") {
    cluster.unproved[2] = "no";
    cluster.policies.emplace_back().consistency = Consistency::kEventual;
    CHECK(cluster.Why().empty());
  }
  SECTION("but for a policy that takes other replicas") {
    cluster.view.servers[2].sync_state = SyncState::kAsync;
    cluster.view.servers[2].ineligible_why = "its sync_state is async";
    CHECK(cluster.Why() == "pg1: the primary lists no standby called \"x\"; pg2: its sync_state is async");
    cluster.policies.emplace_back().read_from = ReadFrom::kStreaming;
    CHECK(cluster.Why().empty());
  }
}

TEST_CASE("reads that are meant for the primary are not kept there", "[routing][kept_reads]") {
  Cluster cluster;
  cluster.Lame(1, "x");
  cluster.Lame(2, "y");
  SECTION("by read_from") { cluster.policies[0].read_from = ReadFrom::kNone; }
  SECTION("by consistency") { cluster.policies[0].consistency = Consistency::kPrimary; }
  SECTION("by the list of servers") { cluster.view.servers.resize(1); }
  SECTION("by what is left of it") { cluster.view.servers[1].removed = cluster.view.servers[2].removed = true; }
  SECTION("or nobody is") { cluster.view.primary.reset(); }
  CHECK(cluster.Why().empty());
}

}  // namespace waypost
