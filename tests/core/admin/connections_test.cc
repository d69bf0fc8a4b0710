#include "core/admin/connections.h"

#include <catch2/catch.hpp>
#include <vector>

#include "core/admin/hosts.h"

namespace waypost {
namespace {

AdminPeer From(const char* address) { return {.address = address, .name = address, .uid = {}}; }

struct Fixture {
  std::vector<int> ended;
  AdminConnections connections{4, [this](int socket) { ended.push_back(socket); }};
  TimePoint now{std::chrono::hours(1)};

  bool Open(int socket, const char* address = "a") {
    now += milliseconds(1);
    return connections.Open(socket, From(address), now);
  }
  void Enter(int socket, AdminPhase phase) {
    now += milliseconds(1);
    connections.Enter(socket, phase, now);
  }
};

using Sockets = std::vector<int>;

}  // namespace

TEST_CASE("the connection that has been silent longest gives way", "[core][admin][connections]") {
  Fixture f;
  for (const int socket : {1, 2, 3}) REQUIRE(f.Open(socket));
  REQUIRE(f.Open(4, "b"));
  CHECK(f.ended.empty());
  f.Enter(1, AdminPhase::kIdle);
  f.Enter(2, AdminPhase::kServing);
  f.Enter(4, AdminPhase::kWriting);
  CHECK(f.Open(5, "c"));
  CHECK(f.ended == Sockets{3});
  CHECK(f.Open(6, "c"));
  CHECK(f.ended == Sockets{3, 1});
  SECTION("readers of answers give way if nobody is silent, and who is being served never does") {
    f.Enter(5, AdminPhase::kStreaming);
    f.Enter(6, AdminPhase::kServing);
    CHECK(f.Open(7, "d"));
    CHECK(f.ended == Sockets{3, 1, 4});
    f.Enter(7, AdminPhase::kServing);
    CHECK(f.Open(8, "e"));
    CHECK(f.ended == Sockets{3, 1, 4, 5});
    f.Enter(8, AdminPhase::kServing);
    CHECK_FALSE(f.Open(9, "f"));
    CHECK(f.ended.size() == 4);
  }
}

TEST_CASE("one address never takes all places", "[core][admin][connections]") {
  Fixture f;
  REQUIRE(f.Open(1, "b"));
  for (const int socket : {2, 3, 4, 5, 6}) REQUIRE(f.Open(socket));
  CHECK(f.ended == Sockets{2, 3});
}

TEST_CASE("what was told to end takes no place, and is told once", "[core][admin][connections]") {
  Fixture f;
  REQUIRE(f.Open(1));
  f.now += std::chrono::seconds(6);
  f.connections.EndLate(f.now);
  f.connections.EndLate(f.now);
  CHECK(f.ended == Sockets{1});
  for (const int socket : {2, 3, 4}) REQUIRE(f.Open(socket));
  CHECK(f.ended.size() == 1);
  CHECK(f.connections.open() == 4);
  f.connections.Close(1);
  CHECK(f.connections.open() == 3);
  REQUIRE(f.Open(1));
  CHECK(f.ended == Sockets{1, 2});
}

TEST_CASE("each phase has its time, counted from its begin, not from the last byte", "[core][admin][connections]") {
  const auto [phase, most] = GENERATE(table<AdminPhase, int>({{AdminPhase::kConnected, 5},
                                                              {AdminPhase::kBody, 5},
                                                              {AdminPhase::kIdle, 30},
                                                              {AdminPhase::kWriting, 30},
                                                              {AdminPhase::kServing, 0},
                                                              {AdminPhase::kStreaming, 0}}));
  CAPTURE(static_cast<int>(phase));
  Fixture f;
  REQUIRE(f.Open(1));
  f.Enter(1, phase);
  f.connections.EndLate(f.now + std::chrono::seconds(most));
  CHECK(f.ended.empty());
  f.connections.EndLate(f.now + std::chrono::hours(1));
  CHECK(f.ended.size() == (most > 0 ? 1U : 0U));
}

TEST_CASE("a foreign name in Host is refused", "[core][admin][hosts]") {
  const std::vector<std::string> allowed = {"db.example.org"};
  for (const char* good : {"localhost", "LOCALHOST:8432", "127.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:8432", "db.example.org",
                           "DB.example.org.:8432"}) {
    CAPTURE(good);
    CHECK(HostAllowed(good, allowed));
  }
  for (const char* bad : {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:x", "[::1", "[evil]",
                          "[::1]x", "::1", "db.example.org@evil", "a b"}) {
    CAPTURE(bad);
    CHECK_FALSE(HostAllowed(bad, allowed));
  }
}

}  // namespace waypost
