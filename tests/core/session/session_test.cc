// Whole sessions, without a server and without waiting: see tests/support/session_world.h.
#include <catch2/catch.hpp>
#include <string>

#include "tests/support/conversations.h"
#include "tests/support/session_world.h"

namespace waypost {
namespace {

using session_world::World;
using wire::Query;

std::string WholeOf(const Conversation& conversation) {
  World world;
  return world.Connect().Hold(conversation.packets);
}

}  // namespace

TEST_CASE("a client logs in, writes on the primary and reads on a replica", "[core][session]") {
  World world;
  auto& client = world.Connect();
  REQUIRE(client.logged_in());
  client.Say(Query("INSERT INTO t VALUES (1)"));
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
  client.Say(Query("SELECT * FROM t"));
  CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(I)");
  client.Say(wire::Message('X'));
  CHECK(client.Hears() == "closed");
}

TEST_CASE("a read waits for its replica, and no longer than fence_wait", "[core][session]") {
  World world;
  auto& client = world.Connect();
  world.b.lags = true;
  client.Say(Query("INSERT INTO t VALUES (1)"));
  client.Hears();
  client.Say(Query("SELECT * FROM t"));
  CHECK(client.Hears() == "");
  SECTION("that gets there") {
    world.b.wal = world.a.wal;
    world.Pass(milliseconds{3});
    CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(I)");
  }
  SECTION("that does not") {
    world.Pass(milliseconds{5});
    CHECK(client.Hears() == "T D(a) C(SELECT 1) Z(I)");
  }
}

TEST_CASE("what a client hears does not depend on where reads of a socket end", "[core][session]") {
  for (const auto& conversation : Conversations()) {
    CAPTURE(conversation.name);
    const auto whole = WholeOf(conversation);
    CAPTURE(whole);
    CHECK(whole.find("closed") == std::string::npos);
    SECTION("byte by byte, " + conversation.name) {
      World world;
      world.chunk = 1;
      auto& client = world.Connect();
      CHECK(client.Hold(conversation.packets) == whole);
    }
    SECTION("in two pieces, " + conversation.name) {
      std::size_t length = 0;
      for (const auto& packet : conversation.packets) length = std::max(length, packet.size());
      for (std::size_t cut = 1; cut < length; ++cut) {
        CAPTURE(cut);
        World world;
        auto& client = world.Connect();
        std::string heard;
        for (const auto& packet : conversation.packets) {
          client.cut_at = cut;
          client.Say(packet);
          heard += (heard.empty() ? "| " : " | ") + client.Hears();
        }
        CHECK(heard == whole);
      }
    }
  }
}

}  // namespace waypost
