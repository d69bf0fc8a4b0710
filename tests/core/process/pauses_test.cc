#include "core/process/pauses.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace waypost {
namespace {

struct World {
  Pause pause;
  DatabaseGates gates;
  int woken = 0;
  std::vector<std::string> told;
  TimePoint now{seconds(1000)};
  Pauses pauses{{.pause = pause,
                 .gates = gates,
                 .wake = [this] { ++woken; },
                 .tell = [this](const std::string& kind, const std::string&,
                                const std::string& text) { told.push_back(kind + ": " + text); }}};
};

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("a pause holds until it is ended", "[core][pauses]") {
  World world;
  CHECK_FALSE(world.pauses.current());
  world.pauses.Begin("writes", std::chrono::seconds(10), world.now);
  CHECK(world.pause.At(world.now) == PauseScope::kWrites);
  REQUIRE(world.pauses.current());
  CHECK(world.pauses.current()->what == "writes");
  CHECK(world.pauses.current()->until - world.pauses.current()->since == std::chrono::seconds(10));
  world.pauses.End("the test said so");
  CHECK(world.pause.At(world.now) == PauseScope::kNone);
  CHECK_FALSE(world.pauses.current());
  CHECK(world.woken == 1);
  CHECK(world.told == Told{"pause: writes are held for at most 10 s", "resume: held statements go on: the test said so"});
  world.pauses.End("once more");
  CHECK(world.woken == 1);
  CHECK(world.told.size() == 2);
}

TEST_CASE("a pause ends when its limit has passed, not one that took its place", "[core][pauses]") {
  World world;
  world.pauses.Begin("all", std::chrono::seconds(10), world.now);
  CHECK(world.pause.At(world.now) == PauseScope::kAll);
  world.pauses.Look(world.now + seconds(9));
  CHECK(world.pauses.current());
  world.pauses.Begin("all", std::chrono::seconds(10), world.now + seconds(9));
  world.pauses.Look(world.now + seconds(11));
  CHECK(world.pauses.current());
  CHECK(world.woken == 0);
  world.pauses.Look(world.now + seconds(19));
  CHECK_FALSE(world.pauses.current());
  CHECK(world.woken == 1);
  CHECK(world.told.back() == "resume: held statements go on: its limit has passed");
}

TEST_CASE("single databases are let go of when their limits have passed", "[core][pauses]") {
  World world;
  REQUIRE(world.gates.Hold("a", world.now + seconds(1)));
  REQUIRE(world.gates.Hold("b", world.now + seconds(5)));
  REQUIRE(world.gates.SetDisabled("c", true));
  CHECK(world.pauses.Gated(world.now).size() == 3);
  world.pauses.Look(world.now + seconds(2));
  CHECK(world.woken == 1);
  CHECK(world.told == Told{"resume: held statements of database a go on: its limit has passed"});
  const auto gated = world.pauses.Gated(world.now + seconds(2));
  REQUIRE(gated.size() == 2);
  CHECK(gated[0].name == "b");
  CHECK(gated[0].held_until);
  CHECK(gated[1].name == "c");
  CHECK(gated[1].disabled);
  CHECK_FALSE(gated[1].held_until);
}

TEST_CASE("the operator ends all pauses at once, and what is disabled stays so", "[core][pauses]") {
  World world;
  world.pauses.Begin("all", std::chrono::seconds(10), world.now);
  REQUIRE(world.gates.Hold("a", world.now + seconds(5)));
  REQUIRE(world.gates.SetDisabled("c", true));
  world.pauses.EndAll();
  CHECK_FALSE(world.pauses.current());
  CHECK_FALSE(world.gates.Held("a", world.now));
  CHECK(world.gates.Disabled("c"));
  CHECK(world.woken >= 1);
  CHECK(world.told.back() == "resume: held statements of database a go on");
}

}  // namespace waypost
