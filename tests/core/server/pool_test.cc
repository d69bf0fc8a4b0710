#include "core/server/pool.h"

#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "routing/pool_policy.h"
#include "tests/support/pool_world.h"

namespace waypost {
namespace {

using pool_world::Client;
using pool_world::Connection;
using pool_world::World;

std::uint64_t Disconnects(World& world, DisconnectCause cause) {
  std::uint64_t count = 0;
  for (auto& host : world.hosts) count += host->metrics().Read(Counter::kServerDisconnects, 0, cause);
  return count;
}

}  // namespace

TEST_CASE("one that is idle is given at once, the one used last first", "[core][pool]") {
  World world;
  Client first(world), second(world), third(world);
  auto& pool = world.PoolOf("u");
  first.Acquire(pool);
  second.Acquire(pool);
  world.LogIn();
  world.LogIn();
  auto* last = second.held;
  first.Release();
  second.Release();
  third.Acquire(pool);
  CHECK(third.held == last);
  CHECK(world.opened == 2);
}

TEST_CASE("who waits longest in a pool is served first", "[core][pool]") {
  World world(1, 1);
  std::array<Client, 3> clients{Client(world), Client(world), Client(world)};
  auto& pool = world.PoolOf("u");
  for (auto& client : clients) {
    client.Acquire(pool);
    world.now += milliseconds(1);
  }
  world.LogIn();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    for (std::size_t j = 0; j < clients.size(); ++j) CHECK(clients[j].served == (j <= i ? 1 : 0));
    clients[i].Release();
  }
  CHECK(world.opened == 1);
}

TEST_CASE("who finds his own settings overtakes those who came just before, no others", "[core][pool]") {
  World world(1, 1);
  const SettingSet mine, theirs;
  Client holder(world), early(world), first(world), same(world);
  holder.wanted_settings = same.wanted_settings = &mine;
  early.wanted_settings = first.wanted_settings = &theirs;
  auto& pool = world.PoolOf("u");
  holder.Acquire(pool);
  world.LogIn();
  early.Acquire(pool);
  world.now += milliseconds(3);
  first.Acquire(pool);
  world.now += milliseconds(1);
  same.Acquire(pool);
  holder.Release();
  CHECK(early.served == 1);  // 4 ms before `same`
  early.held->settings = &mine;
  early.Release();
  CHECK(same.served == 1);
  CHECK(first.served == 0);
  same.Release();
  CHECK(first.served == 1);
}

TEST_CASE("of those idle, one that has the settings is given", "[core][pool]") {
  World world;
  const SettingSet mine, theirs;
  Client one(world), other(world), again(world);
  one.wanted_settings = again.wanted_settings = &mine;
  other.wanted_settings = &theirs;
  auto& pool = world.PoolOf("u");
  one.Acquire(pool);
  other.Acquire(pool);
  world.LogIn();
  world.LogIn();
  auto* left = one.held;
  one.Release();
  other.Release();  // used last
  again.Acquire(pool);
  CHECK(again.held == left);
}

TEST_CASE("one who forgets is not called, and the next one is", "[core][pool]") {
  World world(1, 1);
  Client first(world), second(world);
  auto& pool = world.PoolOf("u");
  first.Acquire(pool);
  second.Acquire(pool);
  first.Forget();
  world.LogIn();
  CHECK(first.served == 0);
  CHECK(second.served == 1);
}

TEST_CASE("a connection that becomes ready after its waiter has gone is kept", "[core][pool]") {
  World world;
  Client first(world), second(world);
  auto& pool = world.PoolOf("u");
  first.Acquire(pool);
  first.Forget();
  world.LogIn();
  CHECK(pool.idle() == 1);
  second.Acquire(pool);
  CHECK(second.served == 1);
  CHECK(world.opened == 1);
}

TEST_CASE("a login serves whoever waits first when it is there", "[core][pool]") {
  World world;
  Client first(world), second(world);
  auto& pool = world.PoolOf("u");
  first.Acquire(pool);
  world.LogIn();
  second.Acquire(pool);
  CHECK(world.opened == 2);
  first.Release();  // serves the second, whose login goes on
  CHECK(second.served == 1);
  world.LogIn();
  CHECK(pool.idle() == 1);
}

TEST_CASE("a connection older than a change of defaults is closed once, for a new one", "[core][pool]") {
  World world;
  auto& pool = world.PoolOf("u");
  auto before = std::make_unique<Client>(world);
  before->Acquire(pool);
  world.LogIn();
  SECTION("an idle one") {
    before->Release();
    world.shared.defaults_clock.Tick(Clock::now());
    Client after(world);
    after.Acquire(pool);
    world.LogIn();
    CHECK(after.served == 1);
  }
  SECTION("one that is given back") {
    world.config.servers[0].max_connections = 1;
    world.shared.defaults_clock.Tick(Clock::now());
    Client after(world);
    after.Acquire(pool);
    before->Release();
    world.LogIn();
    CHECK(after.served == 1);
  }
  SECTION("not for who began before it") {
    before->Release();
    Client other(world);
    world.shared.defaults_clock.Tick(Clock::now());
    other.Acquire(pool);
    CHECK(other.served == 1);
    CHECK(world.opened == 1);
    return;
  }
  CHECK(world.opened == 2);
  CHECK(Disconnects(world, DisconnectCause::kOutdated) == 1);
}

TEST_CASE("a login that was under way when the defaults changed does not serve who began after", "[core][pool]") {
  World world;
  auto& pool = world.PoolOf("u");
  Client before(world);
  before.Acquire(pool);
  world.shared.defaults_clock.Tick(Clock::now());
  before.Forget();
  Client after(world);
  after.Acquire(pool);
  world.LogIn();
  CHECK(after.served == 0);
  world.LogIn();
  CHECK(after.served == 1);
  CHECK(world.opened == 2);
}

TEST_CASE("on a replica one that was opened just after a change of defaults lives shortly", "[core][pool]") {
  World world;
  world.AddServer("b", 4);
  Client client(world);
  world.now = Clock::now();
  world.shared.defaults_clock.Tick(Clock::now());
  client.Acquire(world.hosts[0]->pools.Get({ServerId{1}, "d", "u"}));
  world.LogIn();
  CHECK(client.held->lifetime == milliseconds(5'000));
}

TEST_CASE("a pool has no more than max_size connections", "[core][pool]") {
  World world;
  world.config.pool.max_size = 2;
  std::array<Client, 3> clients{Client(world), Client(world), Client(world)};
  auto& pool = world.PoolOf("u");
  for (auto& client : clients) client.Acquire(pool);
  world.Pass(milliseconds(50));
  CHECK(world.opened == 2);
}

TEST_CASE("a pool at its max_size does not stand in the way of others", "[core][pool]") {
  World world(2, 3);
  world.BoundPools("bounded", 1);
  Client holds(world), waits(world), other(world), elsewhere(world);
  auto& bounded = world.PoolOf("bounded");
  holds.Acquire(bounded);
  world.LogIn();
  waits.Acquire(bounded);
  world.Pass(milliseconds(500));
  SECTION("where places are free") {
    other.Acquire(world.PoolOf("u"));
    elsewhere.Acquire(world.PoolOf("u", 1));
    world.Settle();
    CHECK(world.opened == 3);
  }
  SECTION("where a connection is given back on a full server") {
    world.config.servers[0].max_connections = 2;
    other.Acquire(world.PoolOf("u"));
    REQUIRE(world.opened == 2);
    world.LogIn();
    elsewhere.Acquire(world.PoolOf("v", 1));
    elsewhere.Forget();
    other.Release();
    CHECK(world.PoolOf("u").idle() == 1);
  }
  SECTION("where an idle connection of another worker is asked for") {
    world.config.servers[0].max_connections = 2;
    other.Acquire(world.PoolOf("u"));
    REQUIRE(world.opened == 2);
    world.LogIn();
    other.Release();
    elsewhere.Acquire(world.PoolOf("u", 1));
    world.Settle();
    REQUIRE(world.hosts[1]->logins.size() == 1);
  }
}

TEST_CASE("a pool that waits after a failed login does not stand in the way of others", "[core][pool]") {
  World world(1, 4);
  Client holds(world), waits(world), other(world);
  auto& failing = world.PoolOf("failing");
  holds.Acquire(failing);
  world.LogIn();
  waits.Acquire(failing);
  for (int i = 0; i < 6; ++i) {
    if (!world.hosts[0]->logins.empty()) world.hosts[0]->logins.front()->LoseLogin("refused");
    world.Pass(milliseconds(1'900));
    if (!world.hosts[0]->logins.empty()) world.hosts[0]->logins.front()->LoseLogin("refused");
  }
  REQUIRE(waits.waits());
  const auto before = world.opened;
  other.Acquire(world.PoolOf("u"));
  CHECK(world.opened == before + 1);
}

TEST_CASE("an idle connection of another pool makes room", "[core][pool]") {
  World world(1, 1);
  Client first(world), second(world);
  first.Acquire(world.PoolOf("u"));
  world.LogIn();
  first.Release();
  second.Acquire(world.PoolOf("v"));
  CHECK(Disconnects(world, DisconnectCause::kEvicted) == 1);
  world.LogIn();
  CHECK(second.served == 1);
}

TEST_CASE("another worker's idle connection makes room", "[core][pool]") {
  World world(3, 2);
  std::array<Client, 2> idle{Client(world), Client(world)};
  for (std::size_t i = 0; i < idle.size(); ++i) {
    idle[i].Acquire(world.PoolOf("u", i));
    world.LogIn(i);
    idle[i].Release();
  }
  Client waits(world);
  waits.Acquire(world.PoolOf("u", 2));
  world.Settle();
  REQUIRE(world.hosts[2]->logins.size() == 1);
  world.LogIn(2);
  CHECK(waits.served == 1);
  CHECK(Disconnects(world, DisconnectCause::kEvicted) == 1);  // one place was asked for, one is given
}

TEST_CASE("another worker's idle connection makes room also where somebody waits", "[core][pool]") {
  World world(2, 2);
  world.BoundPools("bounded", 1);
  Client holds(world), bounded(world), idle(world), waits(world);
  holds.Acquire(world.PoolOf("bounded"));
  world.LogIn();
  idle.Acquire(world.PoolOf("u"));
  world.LogIn();
  bounded.Acquire(world.PoolOf("bounded"));
  idle.Release();
  waits.Acquire(world.PoolOf("u", 1));
  world.Settle();
  CHECK(world.hosts[1]->logins.size() == 1);
}

TEST_CASE("a connection is handed over to who has waited noticeably longer", "[core][pool]") {
  World world(2, 1);
  Client holds(world), own(world), longer(world);
  holds.Acquire(world.PoolOf("u"));
  world.LogIn();
  const std::size_t worker = GENERATE(0U, 1U);
  longer.Acquire(world.PoolOf("v", worker));
  SECTION("by more than kHandOverAfter") {
    world.now += kHandOverAfter + milliseconds(1);
    own.Acquire(world.PoolOf("u"));
    world.Settle();
    holds.Release();
    world.Settle();
    REQUIRE(world.hosts[worker]->logins.size() == 1);
    world.LogIn(worker);
    CHECK(longer.served == 1);
    CHECK(own.served == 0);
    longer.Release();
    world.Settle();
    world.LogIn();
    CHECK(own.served == 1);
  }
  SECTION("by less it is not worth a login") {
    world.now += kHandOverAfter;
    own.Acquire(world.PoolOf("u"));
    holds.Release();
    CHECK(own.served == 1);
  }
  SECTION("at once, if nobody waits for this one") {
    holds.Release();
    world.Settle();
    CHECK(world.hosts[worker]->logins.size() == 1);
  }
}

TEST_CASE("a login under way counts as a place for who waits", "[core][pool]") {
  World world(2, 2);
  Client holds(world), logs_in(world), own(world);
  holds.Acquire(world.PoolOf("u"));
  world.LogIn();
  const std::size_t worker = GENERATE(0U, 1U);
  logs_in.Acquire(world.PoolOf("v", worker));  // takes the last place
  world.now += seconds(1);                     // and its login takes long
  own.Acquire(world.PoolOf("u"));
  holds.Release();
  REQUIRE(own.served == 1);  // nobody else can use the place of this one
  own.Release();
  CHECK(world.PoolOf("u").idle() == 1);
  CHECK(world.closed == 0);
}

TEST_CASE("what was opened for a waiter reaches one, whoever has waited longer meanwhile", "[core][pool]") {
  World world(2, 2);
  Client first(world), second(world), longer(world);
  first.Acquire(world.PoolOf("u"));
  second.Acquire(world.PoolOf("u"));
  const std::size_t worker = GENERATE(0U, 1U);
  longer.waiting_since = world.now - seconds(10);  // it was sent here from another server
  longer.Acquire(world.PoolOf("v", worker));
  world.LogIn();
  CHECK(first.served == 1);
  CHECK(world.closed == 0);
  first.Release();  // now it is the other's turn
  world.Settle();
  CHECK(world.closed == 1);
  REQUIRE(!world.hosts[worker]->logins.empty());
}

TEST_CASE("every free place is used as long as somebody waits", "[core][pool]") {
  World world(1, 2);
  Client holds(world), also(world), old(world), young(world);
  holds.Acquire(world.PoolOf("u"));
  also.Acquire(world.PoolOf("u"));
  world.LogIn();
  world.LogIn();
  old.Acquire(world.PoolOf("v"));
  world.now += seconds(1);
  young.Acquire(world.PoolOf("w"));
  SECTION("two come free") {
    holds.Discard();
    also.Discard();
    CHECK(world.hosts[0]->logins.size() == 2);
  }
  SECTION("the one whose turn it is has gone") {
    world.config.servers[0].max_connections = 3;
    old.Forget();
    CHECK(world.hosts[0]->logins.size() == 1);
  }
  SECTION("a login fails for good") {
    holds.Discard();
    REQUIRE(world.hosts[0]->logins.size() == 1);
    world.hosts[0]->logins.front()->Refuse("28P01");
    REQUIRE(old.refusal == "28P01");
    REQUIRE(world.hosts[0]->logins.size() == 1);
    world.LogIn();
    CHECK(young.served == 1);
  }
  SECTION("idle ones are closed") {
    world.PoolOf("u").CloseIdle(DisconnectCause::kEvicted);
    holds.Discard();
    CHECK(world.hosts[0]->logins.size() == 1);
  }
}

TEST_CASE("a start-up check that waits has its turn", "[core][pool]") {
  World world(1, 1);
  Client holds(world), young(world);
  holds.Acquire(world.PoolOf("u"));
  world.LogIn();
  world.hosts[0]->startup_since = world.now;
  world.now += seconds(1);
  young.Acquire(world.PoolOf("u"));
  holds.Release();
  CHECK(world.hosts[0]->startups == 1);
  CHECK(young.waits());
}

TEST_CASE("who waits in vain for a place is not heard of by others when he has gone", "[core][pool]") {
  World world(2, 1);
  Client holds(world), own(world);
  world.hosts[1]->startup_since = world.now;
  world.hosts[1]->pools.PublishOldest(0);
  world.hosts[1]->startup_since.reset();  // the client hung up: nobody tells the pools
  world.Pass(milliseconds(50));
  holds.Acquire(world.PoolOf("u"));
  world.LogIn();
  own.Acquire(world.PoolOf("u"));
  holds.Release();
  CHECK(own.served == 1);
}

TEST_CASE("a refused login fails those who wait, at once", "[core][pool]") {
  World world;
  std::array<Client, 2> clients{Client(world), Client(world)};
  auto& pool = world.PoolOf("u");
  for (auto& client : clients) client.Acquire(pool);
  world.hosts[0]->logins.front()->Refuse("3D000");
  for (auto& client : clients) CHECK(client.refusal == "3D000");
}

TEST_CASE("a login that fails for a while sends those who wait elsewhere", "[core][pool]") {
  World world;
  Client client(world);
  auto& pool = world.PoolOf("u");
  client.Acquire(pool);
  const auto since = client.waiting_since;
  if (GENERATE(true, false)) world.hosts[0]->logins.front()->Refuse("57P03");
  else world.hosts[0]->logins.front()->LoseLogin("reset");
  CHECK(client.sent_away == 1);
  CHECK(client.waiting_since == since);
  CHECK(world.probes == 1);
}

TEST_CASE("a login that fails while others of the pool work keeps its waiters", "[core][pool]") {
  World world;
  Client holds(world), waits(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  waits.Acquire(pool);
  world.hosts[0]->logins.front()->Refuse("53300");
  CHECK(waits.waits());
  holds.Release();
  CHECK(waits.served == 1);
}

TEST_CASE("logins that fail follow each other ever more slowly", "[core][pool]") {
  World world;
  Client client(world);
  auto& pool = world.PoolOf("u");
  client.on_sent_away = [&](Client& self) { self.Acquire(pool); };  // as stubborn as can be
  client.Acquire(pool);
  const auto per_second = [&] {
    const auto before = world.opened;
    for (int i = 0; i < 20; ++i) {
      if (!world.hosts[0]->logins.empty()) world.hosts[0]->logins.front()->LoseLogin("refused");
      world.Pass(milliseconds(50));
    }
    return world.opened - before;
  };
  CHECK(per_second() <= 6);
  (void)per_second();
  (void)per_second();
  CHECK(per_second() <= 1);
  SECTION("also with a min_size to fill") {
    world.config.pool.min_size = 4;
    world.hosts[0]->pools.OnConfigChanged();
    CHECK(per_second() <= 1);
  }
  SECTION("until one succeeds") {
    while (world.hosts[0]->logins.empty()) world.Pass(milliseconds(50));
    world.LogIn();
    REQUIRE(client.served == 1);
    Client other(world);
    other.Acquire(pool);
    CHECK(world.hosts[0]->logins.size() == 1);
  }
}

TEST_CASE("who has waited for query_wait_timeout hears 53300", "[core][pool]") {
  World world(1, 1);
  Client holds(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 6; ++i) {
    auto& client = clients.emplace_back(std::make_unique<Client>(world));
    client->give_up_at = world.now + milliseconds(i % 2 == 0 ? 100 : 1'000);
    client->Acquire(pool);
  }
  world.Pass(milliseconds(100));
  for (std::size_t i = 0; i < clients.size(); ++i) CHECK(clients[i]->refusal == (i % 2 == 0 ? "53300" : ""));
  holds.Release();
  CHECK(clients[1]->served == 1);
}

TEST_CASE("a login that takes longer than connect_timeout has failed", "[core][pool]") {
  World world;
  world.config.servers[0].connect_timeout = milliseconds(200);
  Client client(world);
  client.Acquire(world.PoolOf("u"));
  world.Pass(milliseconds(199));
  CHECK(client.waits());
  world.Pass(milliseconds(1));
  CHECK(client.sent_away == 1);
  CHECK(world.closed == 1);
}

TEST_CASE("a connection that is lost leaves its place to who waits", "[core][pool]") {
  World world(1, 1);
  Client holds(world), waits(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  auto& connection = world.LogIn();
  SECTION("while it is idle") {
    holds.Release();
    connection.Lose();
    CHECK(pool.size() == 0);
    waits.Acquire(pool);
  }
  SECTION("while it is leased") {
    waits.Acquire(pool);
    holds.held = nullptr;
    connection.Lose();
  }
  SECTION("while it is held for a cancel") {
    waits.Acquire(pool);
    connection.CancelStarts();
    holds.Release();
    CHECK(waits.served == 0);
    connection.Lose();
  }
  REQUIRE(world.hosts[0]->logins.size() == 1);
  world.LogIn();
  CHECK(waits.served == 1);
  CHECK(world.budget().used() == 1);
}

TEST_CASE("a connection does not change hands before its cancel has ended", "[core][pool]") {
  World world(1, 1);
  Client holds(world), waits(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  auto& connection = world.LogIn();
  waits.Acquire(pool);
  connection.CancelStarts();
  holds.Release();
  CHECK(waits.served == 0);
  connection.CancelEnds();
  CHECK(waits.served == 1);
  CHECK(world.opened == 1);
}

TEST_CASE("an unclean connection is not given to anybody", "[core][pool]") {
  World world(1, 1);
  Client holds(world), waits(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  waits.Acquire(pool);
  holds.held->dirty = true;
  holds.Release();
  CHECK(Disconnects(world, DisconnectCause::kUnclean) == 1);
  world.LogIn();
  CHECK(waits.served == 1);
}

TEST_CASE("connections beyond a lowered limit are closed when they are given back", "[core][pool]") {
  World world(1, 3);
  std::array<Client, 3> clients{Client(world), Client(world), Client(world)};
  auto& pool = world.PoolOf("u");
  for (auto& client : clients) client.Acquire(pool);
  for (std::size_t i = 0; i < clients.size(); ++i) world.LogIn();
  Client waits(world);
  SECTION("of the server") {
    world.config.servers[0].max_connections = 1;
    waits.Acquire(pool);
    for (auto& client : clients) client.Release();
  }
  SECTION("of the pool") {
    world.config.pool.max_size = 1;
    world.hosts[0]->pools.OnConfigChanged();
    waits.Acquire(pool);
    for (auto& client : clients) client.Release();
  }
  CHECK(pool.size() == 1);
  CHECK(waits.served == 1);
  CHECK(world.opened == 3);
}

TEST_CASE("a server that is configured no more is left", "[core][pool]") {
  World world(1, 2);
  Client holds(world), waits(world), other(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  waits.Acquire(pool);
  world.config.servers.clear();
  world.Pass(milliseconds(50));
  CHECK(waits.sent_away == 1);
  holds.Release();
  world.Pass(milliseconds(50));
  CHECK(world.budget().used() == 0);
}

TEST_CASE("a waiter may give back at once what it gets", "[core][pool]") {
  World world(1, 1);
  Client holds(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  std::vector<std::unique_ptr<Client>> clients;
  const int count = 50'000;  // as many frames of each on the stack would be too many
  for (int i = 0; i < count; ++i) {
    auto& client = clients.emplace_back(std::make_unique<Client>(world));
    client->on_served = [](Client& self) { self.Release(); };
    client->Acquire(pool);
  }
  holds.Release();
  for (const auto& client : clients) REQUIRE(client->served == 1);
  CHECK(pool.idle() == 1);
  CHECK(world.opened == 1);
}

TEST_CASE("a waiter may acquire again while it is served", "[core][pool]") {
  World world(1, 1);
  Client holds(world), client(world);
  auto& pool = world.PoolOf("u");
  holds.Acquire(pool);
  world.LogIn();
  client.on_served = [&](Client& self) {
    if (self.served > 1) return;
    self.Release();
    self.Acquire(pool);
  };
  client.Acquire(pool);
  holds.Release();
  CHECK(client.served == 2);
  CHECK(world.opened == 1);
}

TEST_CASE("a waiter that is refused may come again, and may make another leave", "[core][pool]") {
  World world;
  Client first(world), second(world), third(world);
  auto& pool = world.PoolOf("u");
  const bool final = GENERATE(true, false);
  const auto end = [&](Client& self) {
    if (second.waits()) second.Forget();
    self.Acquire(pool);
  };
  first.on_refused = first.on_sent_away = end;
  first.Acquire(pool);
  second.Acquire(pool);
  third.Acquire(pool);
  if (final) world.hosts[0]->logins.front()->Refuse("28000");
  else {
    while (world.hosts[0]->logins.size() > 1) world.hosts[0]->logins.back()->LoseLogin("reset");
    if (!world.hosts[0]->logins.empty()) world.hosts[0]->logins.front()->LoseLogin("reset");
  }
  CHECK(first.waits());
  CHECK(second.refusal.empty());
  CHECK(second.sent_away == 0);
}

TEST_CASE("how many wait on a server is told over all its pools", "[core][pool]") {
  World world(1, 1);
  Client holds(world), second(world), third(world);
  holds.Acquire(world.PoolOf("u"));
  world.LogIn();
  second.Acquire(world.PoolOf("u"));
  third.Acquire(world.PoolOf("v"));
  CHECK(world.hosts[0]->metrics().Read(Gauge::kPoolWaiting, 0) == 2);
  third.Forget();
  CHECK(world.hosts[0]->metrics().Read(Gauge::kPoolWaiting, 0) == 1);
}

TEST_CASE("min_size is kept once there is a connection", "[core][pool]") {
  World world(1, 3);
  world.config.pool.min_size = 3;
  world.config.pool.idle_timeout = milliseconds(1'000);
  Client client(world), other(world);
  auto& pool = world.PoolOf("u");
  world.Pass(milliseconds(50));
  CHECK(world.opened == 0);
  client.Acquire(pool);
  world.LogIn();
  client.Release();
  SECTION("also past idle_timeout") {
    for (int i = 0; i < 40; ++i) {
      world.Pass(milliseconds(50));
      while (!world.hosts[0]->logins.empty()) world.LogIn();
    }
    CHECK(pool.idle() == 3);
    CHECK(world.opened == 3);
  }
  SECTION("but not against somebody who waits for a place") {
    Client second(world), third(world);
    client.Acquire(pool);
    second.Acquire(world.PoolOf("v"));
    other.Acquire(world.PoolOf("v"));
    third.Acquire(world.PoolOf("v"));
    world.config.servers[0].max_connections = 4;
    world.Pass(milliseconds(50));
    CHECK(world.PoolOf("v").size() == 3);
    CHECK(pool.size() == 1);
  }
}

TEST_CASE("pools give back all their places", "[core][pool]") {
  World world(2, 4);
  Client first(world), second(world), third(world);
  first.Acquire(world.PoolOf("u"));
  second.Acquire(world.PoolOf("v", 1));
  third.Acquire(world.PoolOf("v"));
  world.LogIn();
  world.LogIn(1);
  second.Release();
  first.held = nullptr;
  world.hosts.clear();
  CHECK(world.budget().used() == 0);
}

}  // namespace waypost
