// Whole sessions, without a server and without waiting: see tests/support/session_world.h.
#include <algorithm>
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

TEST_CASE("what a client hears does not depend on which worker its session is on", "[core][session]") {
  std::size_t moves = 0;
  for (const auto& conversation : Conversations()) {
    CAPTURE(conversation.name);
    const auto whole = WholeOf(conversation);
    World world;
    auto& client = world.Connect();
    std::string heard;
    for (const auto& packet : conversation.packets) {
      moves += world.Move(client) ? 1 : 0;
      client.Say(packet);
      heard += (heard.empty() ? "| " : " | ") + client.Hears();
    }
    CHECK(heard == whole);
  }
  CHECK(moves > Conversations().size());
}

TEST_CASE("a session that moved has what its client named and set", "[core][session]") {
  World world;
  auto& client = world.Connect();
  client.Say(Query("SET work_mem = '1MB'"));
  client.Say(ParseMessage("p", "SELECT two FROM t") + SyncMessage());
  client.Hears();
  REQUIRE(world.Move(client));
  REQUIRE(world.Move(client));
  client.Say(BindMessage("", "p") + ExecuteMessage() + SyncMessage());
  CHECK(client.Hears() == "2 D(b) D(b) C(SELECT 2) Z(I)");
  CHECK(world.b.TimesRun("SET work_mem") == 1);
}

TEST_CASE("a Sync alone is answered where no server is held, and by the server that is", "[core][session]") {
  World world;
  auto& client = world.Connect();
  const auto asked = [&] {
    std::size_t bytes = 0;
    for (const auto* server : {&world.a, &world.b}) bytes += server->answered;
    return bytes;
  };
  client.Say(SyncMessage() + SyncMessage());
  CHECK(client.Hears() == "Z(I) Z(I)");
  client.Say(SyncMessage() + Query("BEGIN") + SyncMessage() + SyncMessage().substr(0, 3));
  CHECK(client.Hears() == "Z(I) C(BEGIN) Z(T) Z(T)");
  client.Say(SyncMessage().substr(3));
  CHECK(client.Hears() == "Z(T)");
  CHECK(asked() == 0);
  client.Say(Query("INSERT INTO t VALUES (1)") + SyncMessage());
  CHECK(client.Hears() == "C(INSERT 0 1) Z(T) Z(T)");
  client.Say(Query("boom") + SyncMessage());
  CHECK(client.Hears() == "E(22012) Z(E) Z(E)");
  client.Say(SyncMessage() + Query("ROLLBACK") + SyncMessage());
  CHECK(client.Hears() == "Z(E) C(ROLLBACK) Z(I) Z(I)");
}

TEST_CASE("a Sync behind what it ends is none alone", "[core][session]") {
  World world;
  auto& client = world.Connect();
  client.Say(ParseMessage("", "INSERT INTO t VALUES (1)") + BindMessage("", "") + ExecuteMessage());
  world.Pass(milliseconds{20});  // sent without its end
  CHECK(client.Hears() == "1 2 C(INSERT 0 1)");
  const auto answered = world.a.answered;
  client.Say(SyncMessage() + SyncMessage());
  CHECK(client.Hears() == "Z(I) Z(I)");
  CHECK(world.a.answered == answered + wire::Message('Z', "I").size());
}

TEST_CASE("ten thousand Syncs are as many answers, and let others have their turn", "[core][session]") {
  World world;
  auto& client = world.Connect();
  auto& other = world.Connect();
  std::string syncs, answers;
  for (int i = 0; i < 10'000; ++i) {
    syncs += SyncMessage();
    answers += (answers.empty() ? "" : " ") + std::string("Z(I)");
  }
  client.Say(syncs);
  other.Say(Query("INSERT INTO t VALUES (1)"));
  CHECK(other.Hears() == "C(INSERT 0 1) Z(I)");
  CHECK(client.Hears() == answers);
}

TEST_CASE("the cancel key of a session that moved is good", "[core][session]") {
  World world;
  auto& client = world.Connect();
  REQUIRE(world.Move(client));
  world.a.hangs = true;
  client.Say(Query("UPDATE t SET a = 1"));
  world.ComeIn().Say(client.CancelPacket());
  CHECK(world.a.cancelled.size() == 1);
  // Another one has its place now.
  auto& other = world.Connect();
  CHECK(other.CancelPacket() != client.CancelPacket());
}

TEST_CASE("a session does not move while anything ties it", "[core][session]") {
  World world;
  auto& client = world.Connect();
  SECTION("a block") { client.Say(Query("BEGIN") + Query("INSERT INTO t VALUES (1)")); }
  SECTION("a block that no server has heard of") { client.Say(Query("BEGIN")); }
  SECTION("a statement under way") {
    world.a.hangs = true;
    client.Say(Query("INSERT INTO t VALUES (1)"));
  }
  SECTION("half a message") { client.Say(Query("SELECT 1").substr(0, 7)); }
  SECTION("a batch without its end") { client.Say(ParseMessage("", "SELECT 1")); }
  SECTION("values of sequences") { client.Say(Query("INSERT INTO t VALUES (1)")); }
  SECTION("answers that it does not take") {
    client.Fill();
    client.Say(Query("SELECT * FROM t"));
  }
  CHECK_FALSE(world.Move(client));
}

TEST_CASE("a Parse that fails leaves a later one of the same statement alone", "[core][session]") {
  World world([](Config& config) { config.pool.mode = PoolMode::kSession; });
  world.shared.want_catalog = [&](const std::string& database) {
    CatalogBuilder builder;
    AddDemoBuiltIns(builder);
    builder.Relation({.schema = "pg_catalog", .name = "pg_prepared_statements", .built_in = true});
    world.worker->SetCatalog(database, std::make_shared<const Catalog>(builder.Take()), world.shared.catalog_clock.now());
  };
  auto& client = world.Connect();
  const std::string text = "SELECT * FROM t";
  client.Say(ParseMessage("first", text) + SyncMessage());
  CHECK(client.Hears() == "1 Z(I)");
  // What lists the statements has "first" parsed ahead, under its own name. That fails, as its table is gone; then it is back.
  world.a.cannot_parse = text;
  client.Say(ParseMessage("", "SELECT count(*) FROM pg_prepared_statements") + BindMessage("", "") + ExecuteMessage() +
             ParseMessage("second", text) + SyncMessage());
  CHECK(client.Hears() == "1 2 D(a) C(SELECT 1) 1 Z(I)");
  const auto parsed = [&] { return std::count(world.a.parsed.begin(), world.a.parsed.end(), "second"); };
  CHECK(parsed() == 1);
  client.Say(BindMessage("", "second") + ExecuteMessage() + SyncMessage());
  CHECK(client.Hears() == "2 D(a) C(SELECT 1) Z(I)");
  CHECK(parsed() == 1);
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

TEST_CASE("what fixes the snapshot of a block is proved fresh, whatever it reads", "[core][session]") {
  const auto [begin, first] = GENERATE(table<std::string, std::string>({
      {Query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"), Query("SELECT 1")},
      {Query("BEGIN READ ONLY") + Query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"), Query("SELECT 1")},
      {Query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"), ParseMessage("s", "SELECT 1") + SyncMessage()},
      {"", ParseMessage("", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY") + BindMessage("", "") + ExecuteMessage("") +
               ParseMessage("", "SELECT 1") + BindMessage("", "") + ExecuteMessage("") + SyncMessage()},
  }));
  const bool eager = GENERATE(false, true);
  World world([=](Config& config) { config.routing.lazy_begin = !eager; });
  auto& client = world.Connect();
  auto& writer = world.Connect();
  world.b.lags = true;
  writer.Say(Query("INSERT INTO t VALUES (1)"));
  client.Say(begin);
  client.Say(first);
  world.Pass(milliseconds{10});
  const auto heard = client.Hears();
  CAPTURE(begin, first, eager, heard, world.b.parsed);
  CHECK(heard.ends_with("Z(T)"));
  CHECK(heard.find("D(b)") == std::string::npos);
  CHECK(std::none_of(world.b.parsed.begin(), world.b.parsed.end(), [](const auto& name) { return name.starts_with("_wp"); }));
}

TEST_CASE("in a block of which each statement has its own snapshot, what reads nothing waits for nothing", "[core][session]") {
  World world;
  auto& client = world.Connect();
  auto& writer = world.Connect();
  world.b.lags = true;
  writer.Say(Query("INSERT INTO t VALUES (1)"));
  client.Say(Query("BEGIN READ ONLY"));
  client.Say(Query("SELECT 1"));
  CHECK(world.b.TimesRun("SELECT 1") == 1);
}

}  // namespace waypost
