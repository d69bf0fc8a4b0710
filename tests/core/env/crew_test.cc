#include "core/env/crew.h"

#include <catch2/catch.hpp>
#include <vector>

namespace waypost {
namespace {

using Loads = std::vector<Permille>;

TEST_CASE("A worker joins when one at work is busy, and there is one more", "[crew]") {
  unsigned quiet = 7;
  CHECK(NextAtWork(1, 4, Loads{699, 0, 0, 0}, 10, quiet) == 1);
  CHECK(NextAtWork(1, 4, Loads{700, 0, 0, 0}, 10, quiet) == 2);
  CHECK(NextAtWork(3, 4, Loads{100, 950, 100, 0}, 10, quiet) == 4);
  CHECK(NextAtWork(4, 4, Loads{990, 990, 990, 990}, 10, quiet) == 4);
  CHECK(NextAtWork(1, 1, Loads{990}, 10, quiet) == 1);
  CHECK(quiet == 0);
}

TEST_CASE("A worker leaves when the others would have done for ten seconds", "[crew]") {
  unsigned quiet = 0;
  for (int i = 0; i < 49; ++i) REQUIRE(NextAtWork(2, 4, Loads{300, 200, 0, 0}, 10, quiet) == 2);
  SECTION("one busy moment begins them anew") {
    CHECK(NextAtWork(2, 4, Loads{300, 201, 0, 0}, 10, quiet) == 2);
    CHECK(quiet == 0);
  }
  SECTION("then it goes, alone") {
    CHECK(NextAtWork(2, 4, Loads{300, 200, 0, 0}, 10, quiet) == 1);
    CHECK(NextAtWork(1, 4, Loads{500, 0, 0, 0}, 10, quiet) == 1);
  }
}

TEST_CASE("What one does alone after another has left does not call that one back", "[crew]") {
  for (unsigned all = 2; all <= 8; ++all)
    for (unsigned at_work = 2; at_work <= all; ++at_work) {
      Loads loads(all, 500 * (at_work - 1) / at_work);
      unsigned quiet = 49;
      REQUIRE(NextAtWork(at_work, all, loads, 10, quiet) == at_work - 1);
      loads.assign(all, 500);
      CHECK(NextAtWork(at_work - 1, all, loads, 10, quiet) == at_work - 1);
    }
}

TEST_CASE("Sessions move from the busiest to the least busy until both are as busy", "[crew]") {
  CHECK(WhoShouldMove(0, 2, Loads{900, 0}, 10).sessions == 5);
  CHECK(WhoShouldMove(0, 3, Loads{900, 600, 300}, 9).to == 2);
  CHECK(WhoShouldMove(0, 3, Loads{900, 600, 300}, 9).sessions == 3);
  CHECK(WhoShouldMove(0, 2, Loads{900, 0}, 1000).sessions == 64);
}

TEST_CASE("Nothing moves where it would help nobody", "[crew]") {
  CHECK(WhoShouldMove(0, 1, Loads{990, 0}, 10).sessions == 0);    // the other is not at work
  CHECK(WhoShouldMove(1, 2, Loads{900, 0}, 10).sessions == 0);    // the least busy itself
  CHECK(WhoShouldMove(0, 2, Loads{600, 401}, 10).sessions == 0);  // about as busy
  CHECK(WhoShouldMove(0, 2, Loads{900, 0}, 1).sessions == 0);     // all of it is one session's
}

TEST_CASE("Many clients make one more join, and keep it", "[crew]") {
  unsigned quiet = 49;
  CHECK(NextAtWork(1, 2, Loads{0, 0}, 64, quiet) == 1);
  CHECK(NextAtWork(1, 2, Loads{0, 0}, 65, quiet) == 2);
  quiet = 49;
  CHECK(NextAtWork(2, 2, Loads{0, 0}, 65, quiet) == 2);
  quiet = 49;
  CHECK(NextAtWork(2, 2, Loads{0, 0}, 64, quiet) == 1);
}

TEST_CASE("Clients that come fill one worker, then spread", "[crew]") {
  Crew crew;
  crew.SetSize(3);
  std::vector<std::size_t> clients(3);
  for (int i = 0; i < 300; ++i) {
    const auto host = crew.HostFor(0);
    REQUIRE(crew.Works(host));
    crew.SetClients(host, ++clients[host]);
    if (i == 63) CHECK(clients == std::vector<std::size_t>{64, 0, 0});
  }
  CHECK(crew.at_work() == 3);
  for (const auto count : clients) CHECK((count >= 95 && count <= 105));
}

TEST_CASE("Those at work are the first ones", "[crew]") {
  Crew crew;
  crew.SetSize(3);
  CHECK(crew.at_work() == 1);
  crew.Report(0, 900);
  crew.Decide();
  CHECK(crew.Works(1));
  CHECK(!crew.Works(2));
  CHECK(crew.LeastBusy() == 1);
  CHECK(crew.RemovalFrom(0, 4).sessions == 2);
}

}  // namespace
}  // namespace waypost
