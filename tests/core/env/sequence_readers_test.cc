#include "core/env/sequence_readers.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

constexpr TimePoint kNow{std::chrono::hours(1000)};

}  // namespace

TEST_CASE("who asked for a sequence's value is known for some time from the last time on", "[core][sequence_readers]") {
  SequenceReaders readers;
  const auto version = readers.version();
  CHECK(readers.Find("db", "user") == nullptr);
  const auto asked = readers.Add("db", "user", kNow);
  CHECK(readers.version() != version);
  CHECK(readers.Find("db", "user") == asked);
  CHECK(readers.Find("db", "other") == nullptr);
  CHECK(readers.Find("other", "user") == nullptr);
  CHECK(asked->Within(seconds(10), kNow + seconds(9)));
  CHECK_FALSE(asked->Within(seconds(10), kNow + seconds(10)));
  CHECK_FALSE(asked->Within(seconds(0), kNow));

  SECTION("each time it asks counts") {
    CHECK(readers.Add("db", "user", kNow + seconds(5)) == asked);
    CHECK(asked->Within(seconds(10), kNow + seconds(14)));
  }
  SECTION("sessions go on with what they have of a database that is gone") {
    readers.Forget("db");
    CHECK(readers.Find("db", "user") == nullptr);
    CHECK(asked->Within(seconds(10), kNow));
  }
}

}  // namespace waypost
