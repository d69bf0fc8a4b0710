#include "routing/pool_policy.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>

namespace waypost {
namespace {

const TimePoint kNow{seconds(1000)};
using Since = std::optional<TimePoint>;

Since Waiting(milliseconds so_long) { return kNow - so_long; }

}  // namespace

TEST_CASE("a connection that comes free goes to who has waited long enough", "[routing][pool_policy]") {
  CHECK(ServeNext({}, {}) == OnRelease::kKeepIdle);
  CHECK(ServeNext(Waiting(milliseconds(1)), {}) == OnRelease::kServeOwn);
  CHECK(ServeNext({}, Waiting(milliseconds(0))) == OnRelease::kHandOver);
  CHECK(ServeNext(Waiting(milliseconds(50)), Waiting(milliseconds(10))) == OnRelease::kServeOwn);
  SECTION("a little longer is not worth a login") {
    CHECK(ServeNext(Waiting(milliseconds(0)), Waiting(milliseconds(99))) == OnRelease::kServeOwn);
    CHECK(ServeNext(Waiting(milliseconds(0)), Waiting(kHandOverAfter)) == OnRelease::kServeOwn);
  }
  SECTION("noticeably longer is") {
    CHECK(ServeNext(Waiting(milliseconds(0)), Waiting(milliseconds(101))) == OnRelease::kHandOver);
    CHECK(ServeNext(Waiting(milliseconds(500)), Waiting(milliseconds(601))) == OnRelease::kHandOver);
  }
}

TEST_CASE("a free place is for who has waited about as long as anybody", "[routing][pool_policy]") {
  CHECK(MayGrow({}, {}));
  CHECK(MayGrow({}, Waiting(milliseconds(500))));
  CHECK(MayGrow(Waiting(milliseconds(0)), {}));
  CHECK(MayGrow(Waiting(milliseconds(0)), Waiting(kHandOverAfter)));
  CHECK_FALSE(MayGrow(Waiting(milliseconds(0)), Waiting(milliseconds(101))));
  CHECK(MayGrow(Waiting(milliseconds(101)), Waiting(milliseconds(0))));
}

TEST_CASE("of any two waiters one may always go on", "[routing][pool_policy]") {
  const auto one = milliseconds(GENERATE(0, 1, 99, 100, 101, 5000));
  const auto other = milliseconds(GENERATE(0, 1, 99, 100, 101, 5000));
  CAPTURE(one.count(), other.count());
  CHECK((MayGrow(Waiting(one), Waiting(other)) || MayGrow(Waiting(other), Waiting(one))));
}

TEST_CASE("a connection is old after its lifetime", "[routing][pool_policy]") {
  ConnectionAge age{kNow, kNow, milliseconds(1000), milliseconds(0)};
  CHECK_FALSE(TooOld(age, kNow + milliseconds(1000)));
  CHECK(TooOld(age, kNow + milliseconds(1001)));
  SECTION("however lately it was used") {
    age.idle_since = kNow + milliseconds(1001);
    CHECK(TooOld(age, kNow + milliseconds(1001)));
  }
  SECTION("and never without one") {
    age.lifetime = milliseconds(0);
    CHECK_FALSE(TooOld(age, kNow + std::chrono::hours(10'000)));
  }
}

TEST_CASE("a connection is idle too long since it was used last", "[routing][pool_policy]") {
  ConnectionAge age{kNow - seconds(900), kNow, milliseconds(0), milliseconds(1000)};
  CHECK_FALSE(IdleTooLong(age, kNow + milliseconds(1000)));
  CHECK(IdleTooLong(age, kNow + milliseconds(1001)));
  age.idle_timeout = milliseconds(0);
  CHECK_FALSE(IdleTooLong(age, kNow + std::chrono::hours(10'000)));
}

TEST_CASE("jitter is a tenth to either side", "[routing][pool_policy]") {
  constexpr milliseconds kHour{3'600'000};
  CHECK(Jitter(kHour, 0) == milliseconds(3'240'000));
  CHECK(Jitter(kHour, 1U << 31U) == kHour);
  CHECK(Jitter(kHour, 0xFFFFFFFFU) == milliseconds(3'959'999));
  CHECK(Jitter(milliseconds(0), 0xFFFFFFFFU) == milliseconds(0));
  CHECK(Jitter(milliseconds(9), 0xFFFFFFFFU) == milliseconds(9));
  SECTION("also of years") {
    constexpr milliseconds kYears{std::int64_t{365} * 24 * 3'600'000 * 20};
    const auto most = Jitter(kYears, 0xFFFFFFFFU);
    CHECK(most > kYears);
    CHECK(most <= kYears + kYears / 10);
  }
}

}  // namespace waypost
