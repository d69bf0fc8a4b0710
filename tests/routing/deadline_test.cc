#include "routing/deadline.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

constexpr TimePoint kStart{seconds(100)};

}  // namespace

TEST_CASE("of several limits the earliest counts, until the batch ends", "[routing][deadline]") {
  Deadline deadline;
  CHECK_FALSE(deadline.set());
  CHECK_FALSE(deadline.Passed(kStart));
  deadline.Limit(kStart + seconds(2));
  deadline.Limit(kStart + seconds(1));
  deadline.Limit(kStart + seconds(3));
  CHECK(deadline.set());
  CHECK_FALSE(deadline.Passed(kStart + milliseconds(999)));
  CHECK(deadline.Passed(kStart + seconds(1)));
  deadline.Postpone(kStart + seconds(5));
  CHECK_FALSE(deadline.Passed(kStart + seconds(4)));
  CHECK(deadline.Passed(kStart + seconds(5)));
  deadline.Clear();
  CHECK_FALSE(deadline.set());
  CHECK_FALSE(deadline.Passed(kStart + seconds(1000)));
}

TEST_CASE("who looks at the clock is asked once, until told to look no more", "[routing][deadline]") {
  Deadline deadline;
  CHECK(deadline.Watch());
  CHECK_FALSE(deadline.Watch());
  deadline.Clear();
  CHECK_FALSE(deadline.Watch());
  CHECK(deadline.Looked(true));
  CHECK_FALSE(deadline.Watch());
  CHECK_FALSE(deadline.Looked(false));
  CHECK(deadline.Watch());
}

}  // namespace waypost
