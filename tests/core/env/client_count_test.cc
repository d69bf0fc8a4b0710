#include "core/env/client_count.h"

#include <catch2/catch.hpp>

namespace waypost {

TEST_CASE("a client more than may is told which limit it is", "[core][env]") {
  ClientCount count;
  const ClientLimits limits{.all = 4, .user = 3, .database = 2, .address = 1};
  const auto take = [&](const char* user, const char* database, const char* address) {
    return count.Take({user, database, address}, limits);
  };
  REQUIRE(take("u", "d", "a") == ClientLimit::kNone);
  CHECK(take("u", "d", "a") == ClientLimit::kAddress);
  REQUIRE(take("u", "d", "b") == ClientLimit::kNone);
  CHECK(take("u", "d", "c") == ClientLimit::kDatabase);
  REQUIRE(take("u", "e", "c") == ClientLimit::kNone);
  CHECK(take("u", "e", "d") == ClientLimit::kUser);
  REQUIRE(take("v", "e", "d") == ClientLimit::kNone);
  CHECK(take("w", "f", "e") == ClientLimit::kAll);
  count.Give({"u", "d", "b"});
  CHECK(take("v", "d", "b") == ClientLimit::kNone);
}

TEST_CASE("one that does not count by something is not limited by it, and takes nobody's place", "[core][env]") {
  ClientCount count;
  const ClientLimits limits{.all = 10, .user = 0, .database = 1, .address = 1};
  REQUIRE(count.Take({"u", "d", ""}, limits) == ClientLimit::kNone);
  REQUIRE(count.Take({"u", "e", ""}, limits) == ClientLimit::kNone);
  count.Give({"u", "e", ""});
  REQUIRE(count.Take({"u", "e", "a"}, limits) == ClientLimit::kNone);
  CHECK(count.Take({"u", "f", "a"}, limits) == ClientLimit::kAddress);
}

TEST_CASE("one of another process counts, whatever the limits", "[core][env]") {
  ClientCount count;
  const ClientLimits limits{.all = 2, .user = 0, .database = 1, .address = 0};
  count.Admit({"u", "d", ""});
  count.Admit({"u", "d", ""});
  CHECK(count.Take({"u", "e", ""}, limits) == ClientLimit::kAll);
  count.Give({"u", "d", ""});
  CHECK(count.Take({"u", "d", ""}, limits) == ClientLimit::kDatabase);
  count.Give({"u", "d", ""});
  CHECK(count.Take({"u", "d", ""}, limits) == ClientLimit::kNone);
}

}  // namespace waypost
