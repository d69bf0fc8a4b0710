#include "core/env/login_rates.h"

#include <catch2/catch.hpp>

namespace waypost {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("so many log-ins a second come from one address", "[core][env]") {
  LoginRates rates;
  const TimePoint start = TimePoint{} + seconds{100};
  for (int i = 0; i < 5; ++i) REQUIRE(rates.Take("a", 5, start));
  CHECK_FALSE(rates.Take("a", 5, start));
  CHECK(rates.Take("b", 5, start));
  CHECK_FALSE(rates.Take("a", 5, start + milliseconds{150}));
  CHECK(rates.Take("a", 5, start + milliseconds{210}));
  CHECK_FALSE(rates.Take("a", 5, start + milliseconds{210}));
  SECTION("whoever waits has no more than a second's") {
    for (int i = 0; i < 5; ++i) REQUIRE(rates.Take("a", 5, start + seconds{60}));
    CHECK_FALSE(rates.Take("a", 5, start + seconds{60}));
  }
  SECTION("a limit that was lowered holds at once") {
    REQUIRE(rates.Take("a", 2, start + seconds{60}));
    REQUIRE(rates.Take("a", 2, start + seconds{60}));
    CHECK_FALSE(rates.Take("a", 2, start + seconds{60}));
  }
  SECTION("a clock that is behind gives nothing") { CHECK_FALSE(rates.Take("a", 5, start)); }
}

TEST_CASE("addresses without end do not fill the memory, and lock nobody out", "[core][env]") {
  LoginRates rates;
  const TimePoint start = TimePoint{} + seconds{100};
  for (std::size_t i = 0; i < LoginRates::kMaxAddresses + 1000; ++i) REQUIRE(rates.Take(std::to_string(i), 1, start));
  CHECK(rates.addresses() == LoginRates::kMaxAddresses);
  CHECK_FALSE(rates.Take("0", 1, start));
  CHECK(rates.Take("new", 1, start + seconds{2}));
  CHECK(rates.addresses() == 1);
}

}  // namespace waypost
