#include "routing/membership.h"

#include <catch2/catch.hpp>
#include <random>

namespace waypost {
namespace {

constexpr seconds kPatience{30};

KnownMember Known(std::string name, std::uint16_t port, bool primary = false) {
  KnownMember known;
  known.name = std::move(name);
  known.host = "10.0.0.1";
  known.port = port;
  known.primary = primary;
  known.up = true;
  return known;
}
FoundServer Found(std::string name, std::uint16_t port, std::string host = "10.0.0.1") {
  FoundServer found;
  found.name = std::move(name);
  found.host = std::move(host);
  found.port = port;
  return found;
}

// One cluster whose list is followed; what is decided is in force at the next list.
struct World {
  std::vector<KnownMember> known{Known("pg0", 1, true), Known("pg1", 2)};
  Membership membership;
  TimePoint now{};

  Membership::Decision Follow(const std::vector<FoundServer>& list) {
    now += seconds(5);
    auto decision = membership.Follow(list, known, kPatience, now);
    std::vector<KnownMember> next;
    for (const Member& member : decision.members) {
      KnownMember one;
      for (const KnownMember& before : known)
        if (before.name == member.name) one = before;
      static_cast<Member&>(one) = member;
      next.push_back(one);
    }
    known = next;
    return decision;
  }
  [[nodiscard]] std::string Names() const {
    std::string names;
    for (const auto& one : known) names += (names.empty() ? "" : " ") + one.name + (one.draining ? "(drains)" : "");
    return names;
  }
};

}  // namespace

TEST_CASE("a list with the same servers changes nothing", "[routing][membership]") {
  World world;
  const auto decision = world.Follow({Found("pg1", 2), Found("another-name", 1)});
  CHECK_FALSE(decision.changed);
  CHECK(decision.refused.empty());
  CHECK(world.Names() == "pg0 pg1");
}

TEST_CASE("a server that the list has is added at once", "[routing][membership]") {
  World world;
  CHECK(world.Follow({Found("pg0", 1), Found("pg1", 2), Found("pg2", 3)}).changed);
  CHECK(world.Names() == "pg0 pg1 pg2");
  CHECK(world.known[2].host == "10.0.0.1");
  CHECK(world.known[2].port == 3);
}

TEST_CASE("a server that two lists in a row lack is drained, and goes", "[routing][membership]") {
  World world;
  const std::vector<FoundServer> without = {Found("pg0", 1)};
  CHECK_FALSE(world.Follow(without).changed);
  CHECK(world.Follow(without).changed);
  CHECK(world.Names() == "pg0 pg1(drains)");
  SECTION("when nothing is under way there") {
    world.known[1].in_use = true;
    CHECK_FALSE(world.Follow(without).changed);
    world.known[1].in_use = false;
    CHECK(world.Follow(without).changed);
    CHECK(world.Names() == "pg0");
  }
  SECTION("or when that takes too long") {
    world.known[1].in_use = true;
    world.now += kPatience;
    CHECK(world.Follow(without).changed);
    CHECK(world.Names() == "pg0");
  }
  SECTION("unless the list has it again") {
    CHECK(world.Follow({Found("pg0", 1), Found("pg1", 2)}).changed);
    CHECK(world.Names() == "pg0 pg1");
    CHECK_FALSE(world.Follow(without).changed);
  }
}

TEST_CASE("two lists are in a row only if nothing came between", "[routing][membership]") {
  World world;
  const std::vector<FoundServer> without = {Found("pg0", 1)};
  CHECK_FALSE(world.Follow(without).changed);
  SECTION("a look that failed") { world.membership.Missed(); }
  SECTION("a list that is broken") { CHECK_FALSE(world.Follow({}).refused.empty()); }
  SECTION("a list that has it") { CHECK_FALSE(world.Follow({Found("pg0", 1), Found("pg1", 2)}).changed); }
  CHECK_FALSE(world.Follow(without).changed);
  CHECK(world.Follow(without).changed);
}

TEST_CASE("a list that cannot be right changes nothing, and it is said why", "[routing][membership]") {
  World world;
  std::vector<FoundServer> list;
  std::string why;
  SECTION("empty") { why = "the list of servers is empty"; }
  SECTION("without the accepted primary") {
    list = {Found("pg1", 2), Found("pg2", 3)};
    why = "the list lacks the accepted primary, pg0 at 10.0.0.1:1: expected it under this very address";
  }
  SECTION("one address twice") {
    list = {Found("pg0", 1), Found("pg2", 3), Found("pg3", 3)};
    why = "the list has \"pg3\" and \"pg2\" both at 10.0.0.1:3, expected each address once";
  }
  SECTION("without a port") {
    list = {Found("pg0", 1), Found("pg2", 0)};
    why = "server \"pg2\" of the list has no port";
  }
  SECTION("a socket") {
    list = {Found("pg0", 1), Found("pg2", 3, "/run\n")};
    why = "server \"pg2\" of the list has the host \"/run?\", expected an IP address or a host name";
  }
  SECTION("too long") {
    for (std::uint16_t port = 1; port <= Membership::kMaxListed + 1; ++port) list.push_back(Found("pg", port));
    why = "the list has 65 servers, expected at most 64";
  }
  for (int i = 0; i < 3; ++i) {
    const auto decision = world.Follow(list);
    CHECK_FALSE(decision.changed);
    CHECK(decision.refused == why);
  }
  CHECK(world.Names() == "pg0 pg1");
}

TEST_CASE("without a primary servers are added only, to a list that is plainly of this cluster", "[routing][membership]") {
  World world;
  world.known[0].primary = false;
  SECTION("a server that is down may be lacking, and stays") {
    world.known[0].up = false;
    for (int i = 0; i < 4; ++i) CHECK(world.Follow({Found("pg1", 2), Found("pg2", 3)}).changed == (i == 0));
    CHECK(world.Names() == "pg0 pg1 pg2");
  }
  SECTION("one that answers may not: it could be there under another address") {
    const auto decision = world.Follow({Found("pg1", 2), Found("pg2", 3)});
    CHECK(decision.refused == "no primary is accepted, and the list lacks pg0 at 10.0.0.1:1, which answers");
    CHECK(world.Names() == "pg0 pg1");
  }
  SECTION("a list of strangers") {
    world.known[0].up = world.known[1].up = false;
    CHECK_FALSE(world.Follow({Found("pg2", 3)}).refused.empty());
    CHECK(world.Names() == "pg0 pg1");
  }
}

TEST_CASE("a server that does not run is not added, and does not go", "[routing][membership]") {
  World world;
  auto down = Found("pg1", 2), other = Found("pg2", 3);
  down.active = other.active = false;
  const auto nowhere = Found("pg3", 0, "");
  for (int i = 0; i < 4; ++i) CHECK_FALSE(world.Follow({Found("pg0", 1), down, other, nowhere}).changed);
  CHECK(world.Names() == "pg0 pg1");
  SECTION("nor does one of which the list does not say where it is") {
    const std::vector<FoundServer> list = {Found("pg0", 1), Found("pg1", 0, "")};
    for (int i = 0; i < 4; ++i) CHECK_FALSE(world.Follow(list).changed);
  }
}

TEST_CASE("a name stays with its address", "[routing][membership]") {
  World world;
  const auto pg0 = Found("pg0", 1);
  (void)world.Follow({pg0, Found("pg1", 2), Found("pg1", 3), Found("odd name/\xff", 4), Found("", 5)});
  CHECK(world.Names() == "pg0 pg1 10.0.0.1-3 odd_name__ server");
  for (int i = 0; i < 3; ++i) (void)world.Follow({pg0});
  CHECK(world.Names() == "pg0");
  SECTION("also when it is gone") {
    (void)world.Follow({pg0, Found("pg1", 9)});
    CHECK(world.Names() == "pg0 10.0.0.1-9");
  }
  SECTION("and comes back with it") {
    (void)world.Follow({pg0, Found("pg1", 2)});
    CHECK(world.Names() == "pg0 pg1");
  }
  SECTION("names that are cut to the same") {
    const std::string host(200, 'h');
    (void)world.Follow({pg0, Found("pg1", 1, host), Found("pg1", 2, host)});
    REQUIRE(world.known.size() == 3);
    CHECK(world.known[1].name == std::string(63, 'h'));
    CHECK(world.known[2].name == std::string(61, 'h') + "-2");
  }
}

TEST_CASE("another primary than the accepted one is told when two lists have it, and changes nothing", "[routing][membership]") {
  World world;
  auto theirs = Found("pg1", 2);
  theirs.primary = true;
  const std::vector<FoundServer> list = {Found("pg0", 1), theirs};
  CHECK(world.Follow(list).contradiction.empty());
  const auto decision = world.Follow(list);
  CHECK(decision.contradiction == "the list has \"pg1\" as primary, the accepted primary is pg0");
  CHECK_FALSE(decision.changed);
  world.known[0].primary = false;
  world.known[1].primary = true;
  CHECK(world.Follow(list).contradiction.empty());
}

TEST_CASE("whatever lists come, the accepted primary stays, and nothing goes that the last two lists have",
          "[routing][membership]") {
  std::mt19937 random(20'261'127);  // NOLINT(cert-msc51-cpp): the same each time
  const auto chance = [&](unsigned of) { return random() % of == 0; };
  World world;
  std::vector<FoundServer> before;
  for (int step = 0; step < 20'000; ++step) {
    for (auto& one : world.known) one.primary = one.up = one.in_use = false;
    if (!chance(4)) world.known[random() % world.known.size()].primary = true;
    for (auto& one : world.known) {
      one.up = one.primary || chance(2);
      one.in_use = chance(2);
    }
    if (chance(3)) world.membership.Missed();
    std::vector<FoundServer> list;
    for (std::uint16_t port = 1; port <= 6; ++port)
      if (!chance(3)) list.push_back(Found("pg" + std::to_string(random() % 3), port));
    const auto known = world.known;
    const auto decision = world.Follow(list);
    REQUIRE(decision.members.size() <= known.size() + list.size());
    for (const KnownMember& one : known) {
      const auto is_it = [&](const auto& other) { return other.port == one.port; };
      if (std::ranges::any_of(decision.members, is_it)) continue;
      CHECK_FALSE(one.primary);
      CHECK(one.draining);
      CHECK(std::ranges::none_of(list, is_it));
      CHECK(std::ranges::none_of(before, is_it));
    }
    for (const Member& one : decision.members)
      CHECK(std::ranges::count_if(decision.members, [&](const Member& other) { return other.name == one.name; }) == 1);
    if (!decision.refused.empty()) CHECK_FALSE(decision.changed);
    if (!decision.members.empty()) before = list;
  }
}

}  // namespace waypost
