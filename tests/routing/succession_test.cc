#include "routing/succession.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "routing/health.h"

namespace waypost {
namespace {

constexpr milliseconds kInterval{250};
constexpr std::uint64_t kSystem = 7;

// Servers pg0, pg1 ... of which none has answered yet.
struct Servers {
  explicit Servers(std::size_t count) : probes(count) {
    for (std::size_t id = 0; id < count; ++id) probes[id].name = "pg" + std::to_string(id);
  }
  ServerSample& Answer(ServerId id, std::uint32_t timeline) {
    probes[id].up = true;
    auto& sample = probes[id].sample.emplace();
    sample.system_identifier = kSystem;
    sample.timeline = timeline;
    return sample;
  }
  void IsPrimary(ServerId id, std::uint32_t timeline, Lsn flushed = {1000}, Lsn promoted_at = {}) {
    PrimarySample sample;
    sample.insert_lsn = sample.flush_lsn = flushed;
    sample.promoted_at = promoted_at;
    Answer(id, timeline).role = sample;
  }
  void IsReplica(ServerId id, std::uint32_t timeline, bool receiving = true) {
    Answer(id, timeline).role = ReplicaSample{{1000}, {1000}, receiving, ""};
  }
  void IsDown(ServerId id) { probes[id].up = false; }

  std::vector<ServerProbe> probes;
};

std::optional<ServerId> None() { return std::nullopt; }

}  // namespace

TEST_CASE("after a start a majority must have answered", "[routing][succession]") {
  Succession succession;
  Servers servers(3);
  servers.IsPrimary(0, 1);
  auto choice = succession.Choose(servers.probes);
  CHECK(choice.primary == None());
  CHECK(choice.refusals[0] ==
        "only 1 of 3 servers have answered since Waypost started: a newer primary may be among the others; a [cluster] "
        "state_file remembers what was accepted");
  servers.IsReplica(2, 1);
  CHECK(succession.Choose(servers.probes).primary == ServerId{0});
  SECTION("which counts for the life of the process") {
    servers.IsDown(2);
    CHECK(succession.Choose(servers.probes).primary == ServerId{0});
  }
  SECTION("or is not there any more") {
    servers.IsDown(2);
    servers.IsDown(0);
    CHECK(succession.Choose(servers.probes).primary == None());
    servers.IsPrimary(0, 1);
    CHECK(succession.Choose(servers.probes).primary == ServerId{0});
  }
}

TEST_CASE("what was accepted before the start counts like a server", "[routing][succession]") {
  Succession succession;
  Servers servers(2);
  servers.IsPrimary(0, 2);
  CHECK(succession.Choose(servers.probes).primary == None());
  SECTION("for the same term") { succession.Remember({{kSystem, 2}}); }
  SECTION("and for a later one") { succession.Remember({{kSystem, 1}}); }
  CHECK(succession.Choose(servers.probes).primary == ServerId{0});
}

TEST_CASE("but not for more than half of the servers", "[routing][succession]") {
  Succession succession;
  succession.Remember({{kSystem, 2}});
  Servers servers(4);
  servers.IsPrimary(0, 2);
  CHECK(succession.Choose(servers.probes).primary == None());
  servers.IsReplica(1, 2);
  CHECK(succession.Choose(servers.probes).primary == ServerId{0});
}

TEST_CASE("a deposed primary is refused after a restart, alone and beside its successor", "[routing][succession]") {
  Succession succession;
  succession.Remember({{kSystem, 2}});
  Servers servers(2);
  servers.IsPrimary(0, 1);
  auto choice = succession.Choose(servers.probes);
  CHECK(choice.primary == None());
  CHECK(choice.refusals[0] == "a deposed primary: it is on timeline 1, and timeline 2 was seen before");
  servers.IsPrimary(1, 2);
  CHECK(succession.Choose(servers.probes).primary == ServerId{1});
}

TEST_CASE("a stranger is never accepted, not even alone", "[routing][succession]") {
  Succession succession;
  Servers servers(1);
  servers.IsPrimary(0, 3);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{0});
  servers.probes[0].sample->system_identifier = 8;
  CHECK(succession.Choose(servers.probes).primary == None());
  servers.IsDown(0);
  CHECK(succession.Choose(servers.probes).primary == None());
}

TEST_CASE("one promoted beside a primary that others follow waits", "[routing][succession]") {
  Succession succession;
  Servers servers(3);
  servers.IsPrimary(0, 1);
  servers.IsReplica(1, 1);
  servers.IsReplica(2, 1);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{0});
  servers.IsPrimary(1, 2);
  const auto choice = succession.Choose(servers.probes);
  CHECK(choice.primary == None());  // nor does the old one get a write
  CHECK(choice.refusals[1].starts_with("promoted beside pg0, which is up and which 1 of 1 other servers follow"));
  SECTION("until the others follow it") { servers.IsReplica(2, 2); }
  SECTION("until the others follow nobody") { servers.IsReplica(2, 1, false); }
  SECTION("until the others are gone") { servers.IsDown(2); }
  SECTION("until the old one is gone") { servers.IsDown(0); }
  SECTION("until an operator says so") { succession.Override({{kSystem, 2}, 2}); }
  CHECK(succession.Choose(servers.probes).primary == ServerId{1});
}

TEST_CASE("of two servers the promoted one is the primary at once", "[routing][succession]") {
  Succession succession;
  Servers servers(2);
  servers.IsPrimary(0, 1);
  servers.IsReplica(1, 1);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{0});
  servers.IsPrimary(1, 2);
  CHECK(succession.Choose(servers.probes).primary == ServerId{1});
  CHECK(succession.successions() == 1);
}

TEST_CASE("an operator may go back, and what was there then does not come back", "[routing][succession]") {
  Succession succession;
  Servers servers(2);
  servers.IsPrimary(1, 3);
  servers.IsReplica(0, 3);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{1});
  servers.IsPrimary(0, 2);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{1});
  succession.Override({{kSystem, 2}, 3});
  auto choice = succession.Choose(servers.probes);
  CHECK(choice.primary == ServerId{0});
  CHECK(choice.refusals[1] == "its timeline, 3, was set aside when an operator accepted timeline 2");
  servers.IsDown(0);
  CHECK(succession.Choose(servers.probes).primary == None());
  servers.IsPrimary(1, 4);
  CHECK(succession.Choose(servers.probes).primary == ServerId{1});
}

TEST_CASE("what a successor lacks is told, and may be refused", "[routing][succession]") {
  Succession succession;
  Servers servers(2);
  servers.IsPrimary(0, 1, {5000});
  servers.IsReplica(1, 1);
  ClusterView view;
  view.primary = ServerId{0};
  view.servers.resize(2);
  REQUIRE(succession.Choose(servers.probes).primary == ServerId{0});
  const auto fail_over = [&] {
    succession.NoteConfirming(view);
    servers.IsDown(0);
    servers.IsPrimary(1, 2, {9000}, {4000});
    return succession.Choose(servers.probes);
  };
  SECTION("nothing, where each commit waited for it") {
    view.sync_guarantee = view.servers[1].sync_guarantee = true;
    succession.Allow(0);
    CHECK(fail_over().primary == ServerId{1});
    CHECK(succession.lost_bytes() == 0);
  }
  SECTION("nothing, where commits still waited for it when it was gone") {
    view.sync_guarantee = view.servers[1].sync_guarantee = view.servers[1].streaming = true;
    succession.NoteConfirming(view);
    view.servers[1].sync_guarantee = view.servers[1].streaming = false;
    CHECK(fail_over().primary == ServerId{1});
    CHECK(succession.lost_bytes() == 0);
  }
  SECTION("all that was flushed behind the fork, where they did not") {
    CHECK(fail_over().primary == ServerId{1});
    CHECK(succession.lost_bytes() == 1000);
  }
  SECTION("up to what is allowed") {
    succession.Allow(999);
    CHECK(fail_over().refusals[1] ==
          "it lacks 1000 bytes of WAL that pg0 had flushed, and max_lost_bytes is 999; \"waypost accept\" overrides this");
    CHECK(succession.Choose(servers.probes).primary == None());
    succession.Override({{kSystem, 2}, 2});
    CHECK(succession.Choose(servers.probes).primary == ServerId{1});
  }
}

// Whatever servers report, in whatever order, the term of office never goes back, nobody is the primary who does not claim to
// be, no two are, and whoever is sees nobody in a later term.
TEST_CASE("no sequence of answers makes a deposed primary the primary", "[routing][succession]") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::size_t bound) { return static_cast<ServerId>(random() % bound); };
    const std::size_t count = 1 + below(4);
    Servers servers(count);
    auto health = std::make_unique<ClusterHealth>();
    Term highest;
    for (int step = 0; step < 200; ++step) {
      const auto id = below(count);
      switch (below(8)) {
        case 0: servers.IsDown(id); break;
        case 1:
        case 2: servers.IsPrimary(id, 1 + below(6)); break;
        case 3: servers.IsReplica(id, 1 + below(6), false); break;
        case 4:  // a stranger
          servers.IsPrimary(id, 1 + below(6));
          servers.probes[id].sample->system_identifier = 8;
          break;
        case 5:  // Waypost begins anew, with what it had written down
          if (below(10) != 0) break;
          health = std::make_unique<ClusterHealth>();
          if (highest.timeline != 0) health->succession().Remember({highest});
          break;
        default: servers.IsReplica(id, 1 + below(6)); break;
      }
      const auto view = health->Judge(servers.probes, kInterval);
      if (!view.primary) continue;
      const auto& primary = view.servers[*view.primary];
      REQUIRE(servers.probes[*view.primary].up);
      REQUIRE(std::holds_alternative<PrimarySample>(servers.probes[*view.primary].sample->role));
      if (highest.timeline != 0) {
        REQUIRE(primary.system_identifier == highest.system_identifier);
        REQUIRE(primary.timeline >= highest.timeline);
      }
      highest = {primary.system_identifier, primary.timeline};
      for (ServerId other = 0; other < count; ++other) {
        if (other == *view.primary) continue;
        REQUIRE(view.servers[other].role != Role::kPrimary);
        if (view.servers[other].up && view.servers[other].system_identifier == primary.system_identifier)
          REQUIRE(view.servers[other].timeline <= primary.timeline);
      }
    }
  }
}

}  // namespace waypost
