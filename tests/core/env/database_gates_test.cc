#include "core/env/database_gates.h"

#include <catch2/catch.hpp>

namespace waypost {

using std::chrono::seconds;

TEST_CASE("a database is held until its time, or until it is let go", "[core][env]") {
  DatabaseGates gates;
  const TimePoint now{};
  CHECK_FALSE(gates.Held("a", now));
  CHECK_FALSE(gates.LetGo("a"));
  REQUIRE(gates.Hold("a", now + seconds{10}));
  CHECK(gates.Held("a", now));
  CHECK_FALSE(gates.Held("b", now));
  SECTION("its time") {
    CHECK_FALSE(gates.Held("a", now + seconds{10}));
    CHECK(gates.LetGoOfDue(now + seconds{9}).empty());
    CHECK(gates.LetGoOfDue(now + seconds{10}) == std::vector<std::string>{"a"});
  }
  SECTION("let go") { CHECK(gates.LetGo("a")); }
  CHECK_FALSE(gates.Held("a", now));
  CHECK(gates.all().empty());
}

TEST_CASE("a database that is disabled stays so when it is let go", "[core][env]") {
  DatabaseGates gates;
  REQUIRE(gates.SetDisabled("a", true));
  REQUIRE(gates.Hold("a", TimePoint{} + seconds{1}));
  CHECK(gates.LetGo("a"));
  CHECK(gates.Disabled("a"));
  CHECK(gates.all().size() == 1);
  REQUIRE(gates.SetDisabled("a", false));
  CHECK(gates.all().empty());
}

TEST_CASE("names that nobody has do not fill the memory", "[core][env]") {
  DatabaseGates gates;
  for (std::size_t i = 0; i < DatabaseGates::kMaxDatabases; ++i) REQUIRE(gates.SetDisabled(std::to_string(i), true));
  CHECK_FALSE(gates.SetDisabled("more", true));
  CHECK_FALSE(gates.Hold("more", TimePoint{} + seconds{1}));
  CHECK(gates.Hold("7", TimePoint{} + seconds{1}));
  CHECK(gates.SetDisabled("more", false));
}

}  // namespace waypost
