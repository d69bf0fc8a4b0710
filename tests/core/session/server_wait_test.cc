#include "core/session/server_wait.h"

#include <catch2/catch.hpp>

#include "tests/support/pool_world.h"

namespace waypost {
namespace {

using pool_world::Client;
using pool_world::World;

}  // namespace

TEST_CASE("whoever leaves the line of a pool is not called by it", "[core][server_wait]") {
  World world;
  Client client(world);
  ServerWait wait(client);
  auto& pool = world.PoolOf("u");
  wait.InPool(pool);
  client.Acquire(pool);
  CHECK(wait.waits());
  CHECK(wait.pool() == &pool);
  CHECK_FALSE(wait.for_primary());
  wait.Leave();
  CHECK_FALSE(wait.waits());
  CHECK(wait.pool() == nullptr);
  world.LogIn();
  CHECK(client.served == 0);
  wait.Leave();  // there is nothing left to leave
}

TEST_CASE("what a pool has answered is no more waited for", "[core][server_wait]") {
  World world;
  Client client(world);
  ServerWait wait(client);
  client.on_served = [&](Client&) { wait.Answered(); };
  auto& pool = world.PoolOf("u");
  wait.InPool(pool);
  client.Acquire(pool);
  world.LogIn();
  CHECK(client.served == 1);
  CHECK_FALSE(wait.waits());
}

TEST_CASE("who waits for a primary waits in no pool", "[core][server_wait]") {
  World world;
  Client client(world);
  ServerWait wait(client);
  auto& pool = world.PoolOf("u");
  wait.InPool(pool);
  client.Acquire(pool);
  wait.ForPrimary(world.now);
  CHECK(wait.waits());
  CHECK(wait.for_primary());
  CHECK(wait.pool() == nullptr);
  world.LogIn();
  CHECK(client.served == 0);
  wait.Leave();
  CHECK_FALSE(wait.for_primary());
  CHECK_FALSE(wait.waits());
}

TEST_CASE("a primary is looked for again after a while, once each time", "[core][server_wait]") {
  World world;
  Client client(world);
  ServerWait wait(client);
  CHECK_FALSE(wait.TakeTry(world.now));
  const auto begun = world.now;
  wait.ForPrimary(begun);
  CHECK_FALSE(wait.TakeTry(begun + ServerWait::kTryAgain));
  const auto later = begun + ServerWait::kTryAgain + milliseconds(1);
  CHECK(wait.TakeTry(later));
  CHECK_FALSE(wait.TakeTry(later));
  CHECK_FALSE(wait.TakeTry(later + ServerWait::kTryAgain));
  CHECK(wait.TakeTry(later + ServerWait::kTryAgain + milliseconds(1)));
  wait.Leave();
  CHECK_FALSE(wait.TakeTry(later + seconds(10)));
}

}  // namespace waypost
