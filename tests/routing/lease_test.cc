#include "routing/lease.h"

#include <catch2/catch.hpp>

namespace waypost {

TEST_CASE("nothing that is known of one server connection is known of the next", "[routing][lease]") {
  Lease lease;
  const auto knows_nothing = [&] {
    return !lease.own_names() && lease.last_words().error.empty() && lease.last_words().ending == ServerEnding::kUnsaid;
  };
  CHECK(knows_nothing());
  lease.Begin(true);
  CHECK(lease.as_replica());
  CHECK(knows_nothing());
  lease.UseOwnNames(true);
  lease.NoteLastWords(ServerEnding::kConduct, "E");
  CHECK(lease.own_names());
  CHECK(lease.last_words().error == "E");
  CHECK(lease.last_words().ending == ServerEnding::kConduct);
  SECTION("it was given back") {
    lease.End();
    CHECK_FALSE(lease.as_replica());
  }
  SECTION("another one was leased") {
    lease.Begin(true);
    CHECK(lease.as_replica());
  }
  CHECK(knows_nothing());
}

TEST_CASE("the last words of a server are those that it said last", "[routing][lease]") {
  Lease lease;
  lease.Begin(false);
  lease.NoteLastWords(ServerEnding::kServer, "first");
  lease.NoteLastWords(ServerEnding::kIdle, "second");
  CHECK(lease.last_words().error == "second");
  CHECK(lease.last_words().ending == ServerEnding::kIdle);
}

}  // namespace waypost
