// Clients and servers that are lost, at every byte of every conversation; and what becomes of what was in flight. See
// tests/support/session_world.h.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "tests/support/conversations.h"
#include "tests/support/session_world.h"

namespace waypost {
namespace {

using session_world::Client;
using session_world::Server;
using session_world::World;
using wire::Query;

const std::string kInsert = "INSERT INTO t VALUES (1)";

// What changes the way of a batch through the session.
struct Mode {
  std::string name;
  std::function<void(Config&)> configure;
  bool quiet = false;  // nothing was written for a while: reads are sent at once, and held until they are proved
  std::size_t step = 7;  // not each byte: it takes its time
};
std::vector<Mode> Modes() {
  return {
      {"as by default", [](Config&) {}, false, 1},
      {"sent at once", [](Config&) {}, true, 3},
      {"eager BEGIN", [](Config& config) { config.routing.lazy_begin = false; }},
      {"session pooling", [](Config& config) { config.pool.mode = PoolMode::kSession; }},
      {"all reads checked", [](Config& config) { config.routing.self_check = 1; }},
      {"eventual", [](Config& config) { config.routing.consistency = Consistency::kEventual; }},
      {"the primary alone", [](Config& config) { config.routing.consistency = Consistency::kPrimary; }},
  };
}
Client& Begin(World& world, const Mode& mode) {
  auto& client = world.Connect();
  if (!mode.quiet) return client;
  for (int i = 0; i < 2; ++i) {
    world.Pass(milliseconds{500});
    client.Say(Query("SELECT * FROM t"));
  }
  client.Hears();
  world.a.answered = world.b.answered = 0;
  return client;
}

// How many messages that end a batch there are.
std::size_t Ends(const std::vector<std::string>& packets) {
  std::size_t ends = 0;
  for (const auto& packet : packets)
    for (std::size_t at = 0; at < packet.size(); at += 1 + session_world::U32At(packet, at + 1))
      if (packet[at] == 'Q' || packet[at] == 'S') ++ends;
  return ends;
}

std::size_t CountOf(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Nobody holds a place under a server's limit that no connection has, and each connection that is open is good for the next client.
void CheckNothingLeft(World& world) {
  for (auto& client : world.clients)
    if (client->open()) client->Say(wire::Message('X'));
  world.Pass(milliseconds{600});
  const std::vector<Server*> servers{&world.a, &world.b};
  for (ServerId id = 0; id < servers.size(); ++id) {
    const auto serving = servers[id]->serving();
    CHECK(world.places_taken(id) == serving.size());
    for (const auto* backend : serving) CHECK(backend->status() == 'I');
  }
  if (!world.a.up) return;
  auto& next = world.Connect();
  next.Say(Query("SELECT 1") + Query(kInsert));
  const auto heard = next.Hears();
  CHECK((heard == "T D(a) C(SELECT 1) Z(I) C(INSERT 0 1) Z(I)" || heard == "T D(b) C(SELECT 1) Z(I) C(INSERT 0 1) Z(I)"));
}

}  // namespace

TEST_CASE("a server may be lost at every byte of its answers", "[core][session][loss]") {
  const auto mode = GENERATE(from_range(Modes()));
  for (const auto& conversation : Conversations()) {
    SECTION(conversation.name + ", " + mode.name) {
      std::size_t length = 0;
      {
        World world(mode.configure);
        Begin(world, mode).Hold(conversation.packets);
        length = world.a.answered + world.b.answered;
      }
      for (const bool primary : {true, false}) {
        for (std::size_t after = 1; after <= length; after += mode.step) {
          CAPTURE(mode.name, conversation.name, primary, after);
          World world(mode.configure);
          auto& client = Begin(world, mode);
          auto& server = primary ? world.a : world.b;
          server.answers_left = after;
          auto heard = client.Hold(conversation.packets);
          const auto ends = Ends(conversation.packets);
          if (client.open() && CountOf(heard, "Z(") < ends) {  // a read waits before it is tried again where its server was lost
            world.Pass(milliseconds{1000});
            heard += client.Hears();
          }
          CAPTURE(heard);
          if (server.answers_left) break;  // it did not say so much
          const bool open = client.open();
          const auto copy = conversation.name == "copy";
          // Each batch is answered to its end, or the client is closed.
          if (open && !copy) CHECK(CountOf(heard, "Z(") == ends);
          if (open) CHECK(heard.find('~') == std::string::npos);
          // Nothing that writes is sent twice, and what was acknowledged was done.
          const auto inserts = world.a.TimesRun("INSERT") + world.b.TimesRun("INSERT");
          CHECK(inserts <= 1);
          CHECK(CountOf(heard, "C(INSERT 0 1)") <= inserts);
          if (open && !copy) {
            client.Say(Query("ROLLBACK"));
            CHECK(client.Hears() == "C(ROLLBACK) Z(I)");
          }
          CheckNothingLeft(world);
        }
      }
    }
  }
}

TEST_CASE("a client may be lost at every byte of what it says", "[core][session][loss]") {
  const bool hangs = GENERATE(false, true);
  CAPTURE(hangs);
  for (const auto& conversation : Conversations()) {
    SECTION(conversation.name) {
      std::size_t length = 0;
      for (const auto& packet : conversation.packets) length += packet.size();
      for (std::size_t after = 0; after <= length; ++after) {
        CAPTURE(conversation.name, after);
        World world;
        auto& client = world.Connect();
        auto left = after;
        for (const auto& packet : conversation.packets) {
          if (left == 0) break;
          const auto part = std::min(left, packet.size());
          left -= part;
          // A server that has not answered when the client goes.
          if (left == 0) world.a.hangs = world.b.hangs = hangs;
          client.Say(std::string_view(packet).substr(0, part));
        }
        client.Break();
        world.Pass(milliseconds{2});
        CHECK(!client.open());
        world.a.hangs = world.b.hangs = false;
        const auto inserts = world.a.TimesRun("INSERT") + world.b.TimesRun("INSERT");
        CHECK(inserts <= 1);
        CheckNothingLeft(world);
      }
    }
  }
}

TEST_CASE("a client may be lost while it logs in", "[core][session][loss]") {
  World probe;
  const auto startup = probe.StartupOf();
  const bool by_catalogue = GENERATE(false, true);
  for (std::size_t after = 0; after <= startup.size(); ++after) {
    CAPTURE(after);
    World world;
    if (by_catalogue) world.shared.want_catalog = [](const std::string&) {};
    auto& client = world.ComeIn();
    client.Say(startup.substr(0, after));
    client.Break();
    world.Pass(milliseconds{2});
    CHECK(!client.open());
    if (!by_catalogue) CheckNothingLeft(world);
  }
}

TEST_CASE("a server may be lost while it lets a connection in", "[core][session][loss]") {
  World world;
  auto& client = world.Connect();
  client.Hears();
  world.a.up = false;
  client.Say(Query(kInsert));
  CHECK(client.Hears() == "");  // it waits for a primary that can be reached
  world.a.up = true;
  world.Pass(milliseconds{2000});
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
  CheckNothingLeft(world);
}

// --- what is in flight when the primary fails: it is lost, or another one is seen to have taken its place while it hangs

namespace {

struct FailOver {
  bool deposed;  // its connections do not end by themselves
  void operator()(World& world) const {
    if (deposed) {
      world.a.up = false;
      world.b.replica = false;
      ++world.timeline;
      world.Show(ServerId{1});
      world.Pass(milliseconds{2});
    } else {
      world.FailOver();
      world.Pass(milliseconds{2});
    }
  }
};

// A client that has logged in, and the primary runs what comes without an answer.
struct Flight {
  explicit Flight(Consistency consistency = Consistency::kStrict)
      : world([=](Config& config) { config.routing.consistency = consistency; }), client(world.Connect()) {}
  World world;
  Client& client;
};

}  // namespace

TEST_CASE("fail-over: what no server has heard of waits for the new primary", "[core][session][failover]") {
  Flight flight;
  auto& [world, client] = flight;
  world.a.Die();
  world.Show(std::nullopt);
  world.Run();
  const auto said = GENERATE(as<std::string>{}, Query(kInsert), ExtendedBatch(kInsert), Query("BEGIN; " + kInsert + "; COMMIT"));
  client.Say(said);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "");
  FailOver{false}(world);
  const auto heard = client.Hears();
  CAPTURE(heard);
  CHECK(heard.find("C(INSERT 0 1)") != std::string::npos);
  CHECK(heard.ends_with("Z(I)"));
  CHECK(world.b.TimesRun("INSERT") == 1);
}

TEST_CASE("fail-over: what waits for a place goes to the new primary", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  World world([](Config& config) { config.servers[0].max_connections = 1; });
  auto& first = world.Connect();
  auto& second = world.Connect();
  world.a.hangs = true;
  first.Say(Query("INSERT INTO t VALUES (0)"));
  second.Say(Query(kInsert));
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(first.Hears() == "E(08007) Z(I)");
  CHECK(second.Hears() == "C(INSERT 0 1) Z(I)");
  CHECK(world.b.TimesRun("INSERT") == 1);
}

TEST_CASE("fail-over: a BEGIN that no server has heard of begins on the new primary", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  Flight flight;
  auto& [world, client] = flight;
  client.Say(Query("BEGIN"));
  fail_over(world);
  client.Say(Query(kInsert));
  client.Say(Query("COMMIT"));
  CHECK(client.Hears() == "C(BEGIN) Z(T) C(INSERT 0 1) Z(T) C(COMMIT) Z(I)");
  CHECK(world.b.TimesRun("INSERT") == 1);
}

TEST_CASE("fail-over: a read of which the client has heard nothing runs again", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  const auto said = GENERATE(as<std::string>{}, Query("SELECT * FROM t"), ExtendedBatch("SELECT * FROM t"));
  Flight flight(Consistency::kPrimary);
  auto& [world, client] = flight;
  world.a.hangs = true;
  client.Say(said);
  CHECK(world.a.TimesRun("SELECT") == 1);
  fail_over(world);
  world.Pass(milliseconds{1000});
  const auto heard = client.Hears();
  CHECK(heard.find("D(b)") != std::string::npos);
  CHECK(heard.ends_with("C(SELECT 1) Z(I)"));
}

TEST_CASE("a read of which the client has heard nothing runs elsewhere when its replica is lost", "[core][session][failover]") {
  Flight flight;
  auto& [world, client] = flight;
  world.b.hangs = true;
  client.Say(Query("SELECT * FROM t"));
  REQUIRE(world.b.TimesRun("SELECT") == 1);
  world.b.Die();
  world.Pass(milliseconds{2});
  CHECK(client.Hears() == "T D(a) C(SELECT 1) Z(I)");
}

TEST_CASE("a read runs elsewhere when its replica hangs", "[core][session][failover]") {
  const auto said = GENERATE(as<std::string>{}, Query("SELECT * FROM t"), ExtendedBatch("SELECT * FROM t"));
  Flight flight;
  auto& [world, client] = flight;
  world.b.hangs = true;
  client.Say(said);
  REQUIRE(world.b.TimesRun("SELECT") == 1);
  world.b.links_hang = true;
  world.b.up = false;
  world.Pass(milliseconds{2000});
  const auto heard = client.Hears();
  CHECK(heard.find("D(a)") != std::string::npos);
  CHECK(heard.ends_with("C(SELECT 1) Z(I)"));
}

TEST_CASE("a read that waits for a place on a replica runs elsewhere when that hangs", "[core][session][failover]") {
  World world([](Config& config) { config.servers[1].max_connections = 1; });
  auto& first = world.Connect();
  auto& second = world.Connect();
  world.b.hangs = true;
  first.Say(Query("SELECT * FROM t"));
  second.Say(Query("SELECT * FROM t"));
  REQUIRE(world.b.TimesRun("SELECT") == 1);
  world.b.links_hang = true;
  world.b.up = false;
  world.Pass(milliseconds{2000});
  CHECK(first.Hears() == "T D(a) C(SELECT 1) Z(I)");
  CHECK(second.Hears() == "T D(a) C(SELECT 1) Z(I)");
}

TEST_CASE("a replica that is silent for a moment is not left", "[core][session][failover]") {
  Flight flight;
  auto& [world, client] = flight;
  world.b.withheld.emplace();
  client.Say(Query("SELECT * FROM t"));
  world.b.up = false;
  world.Pass(milliseconds{900});
  world.b.up = true;
  world.Pass(milliseconds{900});
  world.b.LetGo();
  world.Run();
  CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(I)");
}

TEST_CASE("a primary that hangs is not left: nobody has taken its place", "[core][session][failover]") {
  const auto said = GENERATE(as<std::string>{}, kInsert, "SELECT * FROM t");
  Flight flight(Consistency::kPrimary);
  auto& [world, client] = flight;
  world.a.withheld.emplace();
  client.Say(Query(said));
  world.a.up = false;
  world.Pass(milliseconds{3000});
  CHECK(client.Hears() == "");
  world.a.LetGo();
  world.Run();
  CHECK(client.Hears().ends_with("Z(I)"));
  CHECK(world.a.serving().size() == 1);
}

TEST_CASE("who stood still sends nothing before the servers were looked at again", "[core][session][failover]") {
  const auto said = GENERATE(as<std::string>{}, kInsert, "SELECT * FROM t");
  const bool in_block = GENERATE(false, true), promoted = GENERATE(false, true);
  CAPTURE(said, in_block, promoted);
  World world;
  auto& client = world.Connect();
  if (in_block) client.Say(Query("BEGIN") + Query(kInsert));
  client.Hears();
  world.StandStill(milliseconds{3000});
  const auto answered = world.a.answered + world.b.answered;
  client.Send(Query(said) + (in_block ? Query("COMMIT") : std::string()));  // Say() lets the prober look
  world.Run();
  CHECK(client.Hears() == "");
  CHECK(world.a.answered + world.b.answered == answered);
  if (promoted) world.PromoteBeside();
  else world.Show(ServerId{0});
  world.Run();
  const auto heard = client.Hears();
  CAPTURE(heard);
  if (in_block && promoted) CHECK(heard.starts_with("E(40001"));
  else CHECK(heard.ends_with("Z(I)"));
  if (!promoted || !in_block) CHECK_FALSE(heard.starts_with("E("));
  if (promoted) CHECK(world.a.serving().empty());
}

TEST_CASE("a monitor that is a little late holds up nobody", "[core][session][failover]") {
  World world;
  auto& client = world.Connect();
  world.StandStill(milliseconds{1000});
  client.Send(Query(kInsert));
  world.Run();
  CHECK(client.Hears().ends_with("Z(I)"));
}

TEST_CASE("fail-over: a read of which rows were forwarded is an error, and the client stays", "[core][session][failover]") {
  const bool extended = GENERATE(false, true);
  const auto consistency = GENERATE(Consistency::kStrict, Consistency::kPrimary);
  Flight flight(consistency);
  auto& [world, client] = flight;
  auto& server = consistency == Consistency::kPrimary ? world.a : world.b;
  const std::size_t row = kHeaderBytes + 2 + 4 + 1;
  const auto ahead = extended ? 2 * kHeaderBytes + session_world::Columns().size() : session_world::Columns().size();
  server.answers_left = ahead + row;  // the first of two rows
  client.Say(extended ? ExtendedBatch("SELECT two FROM t") : Query("SELECT two FROM t"));
  const std::string name = server.name;
  CHECK(client.Hears() == (extended ? "1 2 T D(" : "T D(") + name + ") E(08006) Z(I)");
  client.Say(Query(kInsert));
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
}

TEST_CASE("a client that got half a message is closed when its server is lost", "[core][session][failover]") {
  Flight flight;
  auto& [world, client] = flight;
  world.b.answers_left = session_world::Columns().size() + 2 * (kHeaderBytes + 2 + 4 + 1) - 1;
  client.Say(Query("SELECT two FROM t"));
  CHECK(client.Hears() == "T D(b) D~ closed");
}

TEST_CASE("fail-over: an open transaction is lost with 40001, and the client stays", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  const bool statement_runs = GENERATE(false, true);
  CAPTURE(statement_runs);
  Flight flight;
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN"), Query(kInsert)});
  if (statement_runs) {
    world.a.hangs = true;
    client.Say(Query("UPDATE t SET x = 1"));
    fail_over(world);
  } else {
    fail_over(world);
    client.Say(Query("UPDATE t SET x = 1"));
  }
  CHECK(client.Hears() == "E(40001) Z(E)");
  client.Say(Query("SELECT 1"));
  CHECK(client.Hears() == "E(25P02) Z(E)");
  client.Say(Query("ROLLBACK"));
  CHECK(client.Hears() == "C(ROLLBACK) Z(I)");
  CHECK(world.b.ran.empty());
  client.Say(Query(kInsert));
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
}

TEST_CASE("fail-over: what is to end a lost transaction may be prepared in it, each step by itself",
          "[core][session][failover]") {
  const auto name = GENERATE(std::string(), std::string("r"));
  const auto portal = GENERATE(std::string(), std::string("p"));
  const auto end = GENERATE(std::string("ROLLBACK"), std::string("COMMIT"));
  const bool flushes = GENERATE(false, true);
  CAPTURE(name, portal, end, flushes);
  Flight flight;
  auto& [world, client] = flight;
  const auto then = flushes ? wire::Message('H') : SyncMessage();
  const std::string ready = flushes ? "" : " Z(E)";
  client.Hold({Query("BEGIN"), Query(kInsert)});
  world.a.hangs = true;
  client.Say(Query("UPDATE t SET x = 1"));
  FailOver{true}(world);
  CHECK(client.Hears() == "E(40001) Z(E)");
  client.Say(SyncMessage());
  CHECK(client.Hears() == "Z(E)");
  client.Say(ParseMessage("other", "SELECT 1") + SyncMessage());
  CHECK(client.Hears() == "E(25P02) Z(E)");
  client.Say(ParseMessage(name, end) + DescribeMessage('S', name) + then);
  CHECK(client.Hears() == "1 t n" + ready);
  client.Say(BindMessage(portal, name) + DescribeMessage('P', portal) + then);
  CHECK(client.Hears() == "2 n" + ready);
  client.Say(ExecuteMessage(portal) + SyncMessage());
  CHECK(client.Hears() == "C(ROLLBACK) Z(I)");
  CHECK(world.b.ran.empty());
  client.Hold({Query("BEGIN"), Query(kInsert)});
  if (name.empty()) client.Say(Query(end));
  else client.Say(BindMessage("", name) + ExecuteMessage() + SyncMessage());
  CHECK(client.Hears() == std::string(name.empty() ? "" : "2 ") + "C(" + end + ") Z(I)");
}

TEST_CASE("fail-over: who commits a transaction that was lost between two statements hears so", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  Flight flight;
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN"), Query(kInsert)});
  fail_over(world);
  client.Say(Query("COMMIT"));
  CHECK(client.Hears() == "E(40001) Z(I)");
  CHECK(world.b.ran.empty());
}

TEST_CASE("fail-over: a write without an answer is 08007, and is never sent twice", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  const auto said = GENERATE(as<std::string>{}, Query(kInsert), ExtendedBatch(kInsert), Query("BEGIN; " + kInsert + "; COMMIT"),
                             Query("SELECT 1; " + kInsert));
  Flight flight;
  auto& [world, client] = flight;
  world.a.hangs = true;
  client.Say(said);
  REQUIRE(world.a.TimesRun("INSERT") == 1);
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "E(08007) Z(I)");
  CHECK(world.b.TimesRun("INSERT") == 0);
  client.Say(Query("SELECT 1"));
  CHECK(client.Hears().ends_with("C(SELECT 1) Z(I)"));
}

TEST_CASE("fail-over: a COMMIT without an answer is 08007, and is never sent twice", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  const auto commit = GENERATE(as<std::string>{}, Query("COMMIT"), ExtendedBatch("COMMIT"), Query(kInsert + "; COMMIT"));
  Flight flight;
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN"), Query(kInsert)});
  world.a.hangs = true;
  client.Say(commit);
  REQUIRE(world.a.TimesRun("COMMIT") == 1);
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "E(08007) Z(I)");  // either way it is over
  CHECK(world.b.ran.empty());
  client.Say(Query(kInsert));
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
}

TEST_CASE("fail-over: a ROLLBACK without an answer has happened", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  Flight flight;
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN"), Query(kInsert)});
  world.a.hangs = true;
  client.Say(Query("ROLLBACK"));
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "C(ROLLBACK) Z(I)");
  CHECK(world.b.ran.empty());
}

TEST_CASE("fail-over: of pipelined batches those not sent wait for the new primary", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  Flight flight;
  auto& [world, client] = flight;
  world.a.hangs = true;
  client.Say(Query("INSERT INTO t VALUES (0)") + Query(kInsert));
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "E(08007) Z(I) C(INSERT 0 1) Z(I)");
  CHECK(world.b.TimesRun("INSERT INTO t VALUES (0)") == 0);
  CHECK(world.b.TimesRun(kInsert) == 1);
}

TEST_CASE("fail-over: a block goes on where the primary was only not heard for a moment", "[core][session][failover]") {
  Flight flight(GENERATE(Consistency::kStrict, Consistency::kEventual));
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN"), Query(kInsert)});
  world.Show(std::nullopt);
  world.Run();
  const auto said = GENERATE(as<std::string>{}, Query("SELECT 1"), ExtendedBatch("SELECT 1"), Query(kInsert), Query("COMMIT"));
  client.Say(said);
  world.Pass(milliseconds{1000});
  const auto heard = client.Hears();
  CAPTURE(heard);
  CHECK(heard.find("E(") == std::string::npos);
  CHECK((heard.ends_with("Z(T)") || heard.ends_with("Z(I)")));
  CHECK(world.b.ran.empty());
}

TEST_CASE("fail-over: the first read of a session under session pooling runs again", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  World world([](Config& config) { config.pool.mode = PoolMode::kSession; });
  auto& client = world.Connect();
  world.a.hangs = true;
  client.Say(Query("SELECT 1"));
  REQUIRE(world.a.TimesRun("SELECT 1") == 1);
  fail_over(world);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(I)");
}

TEST_CASE("a server that acknowledges nothing is lost", "[core][session][failover]") {
  Flight flight;
  auto& [world, client] = flight;
  world.a.hangs = true;
  client.Say(Query(kInsert));
  const auto retransmit = [&](unsigned times) { world.a.serving().front()->retransmissions = times; };
  retransmit(7);
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "");
  SECTION("after long") { retransmit(8); }
  SECTION("or after less, if the monitor finds it down as well") {
    world.a.up = false;
    world.Show(std::nullopt);
    retransmit(4);
  }
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "E(08007) Z(I)");
}

TEST_CASE("fail-over: a block on a replica goes on", "[core][session][failover]") {
  const FailOver fail_over{GENERATE(false, true)};
  Flight flight;
  auto& [world, client] = flight;
  client.Hold({Query("BEGIN READ ONLY"), Query("SELECT 1")});
  fail_over(world);
  client.Say(Query("SELECT 1"));
  client.Say(Query("COMMIT"));
  CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(T) C(COMMIT) Z(I)");
}

TEST_CASE("what a lost block had fixed is not fixed for the next one", "[core][session]") {
  Flight flight;
  auto& [world, client] = flight;
  auto& writer = world.Connect();
  client.Hold({Query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"), Query("SELECT * FROM t")});
  REQUIRE(world.b.TimesRun("SELECT * FROM t") == 1);
  for (auto* backend : world.b.serving()) backend->Break();
  client.Say(Query("SELECT * FROM t"));
  client.Say(Query("ROLLBACK"));
  CHECK(client.Hears() == "E(40001) Z(E) C(ROLLBACK) Z(I)");
  client.Hold({Query("BEGIN READ ONLY"), Query("SELECT * FROM t")});
  REQUIRE(world.b.TimesRun("SELECT * FROM t") == 2);
  world.b.lags = true;
  writer.Say(Query(kInsert));
  client.Say(Query("SELECT * FROM t"));
  const auto heard = client.Hears();
  CAPTURE(heard);
  CHECK(heard.find("D(b)") == std::string::npos);  // it lacks what was written
}

}  // namespace waypost
