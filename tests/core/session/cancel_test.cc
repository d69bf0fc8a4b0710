// A cancel request in each phase of a client's life: what is cancelled, and that it never hits anybody else. See
// tests/support/session_world.h.
#include <catch2/catch.hpp>
#include <string>

#include "tests/support/conversations.h"
#include "tests/support/session_world.h"

namespace waypost {
namespace {

using session_world::Client;
using session_world::World;
using wire::Query;

const std::string kInsert = "INSERT INTO t VALUES (1)";
const std::string kCancelled = "E(57014) Z(I)";

// As libpq does: on a connection of its own, which Waypost closes.
void Cancel(World& world, const Client& client) {
  auto& request = world.ComeIn();
  request.Say(client.CancelPacket());
  CHECK(request.Hears() == "closed");
}

std::uint64_t Counted(World& world, CancelOutcome outcome) {
  return world.worker->metrics().Read(Counter::kCancelRequests, outcome);
}

}  // namespace

TEST_CASE("a cancel request while nothing runs does nothing", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  const bool block = GENERATE(false, true);
  if (block) client.Hold({Query("BEGIN"), Query(kInsert)});
  client.Hears();
  Cancel(world, client);
  CHECK(Counted(world, CancelOutcome::kIdle) == 1);
  CHECK((world.a.cancelled.empty() && world.b.cancelled.empty()));
  client.Say(Query(kInsert));
  CHECK(client.Hears() == (block ? "C(INSERT 0 1) Z(T)" : "C(INSERT 0 1) Z(I)"));
}

TEST_CASE("a cancel request while a statement runs goes to its server process", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  auto& other = world.Connect();
  const bool read = GENERATE(false, true);
  const bool block = GENERATE(false, true);
  if (block) client.Hold({Query(read ? "BEGIN READ ONLY" : "BEGIN"), Query("SELECT 1")});
  auto& server = read ? world.b : world.a;
  server.hangs = true;
  client.Say(Query(read ? "SELECT two FROM t" : kInsert));
  other.Say(Query(read ? "SELECT 1" : "INSERT INTO t VALUES (2)"));
  Cancel(world, client);
  CHECK(Counted(world, CancelOutcome::kSent) == 1);
  const auto runs = std::find_if(server.ran.begin(), server.ran.end(),
                                 [&](const auto& ran) { return ran.sql == (read ? "SELECT two FROM t" : kInsert); });
  REQUIRE(runs != server.ran.end());
  CHECK(server.cancelled == std::vector<std::uint32_t>{runs->pid});
}

TEST_CASE("a connection whose cancel request is on its way is nobody else's", "[core][session][cancel]") {
  World world([](Config& config) { config.servers[0].max_connections = 1; });
  auto& client = world.Connect();
  world.a.cancels_hang = true;
  world.a.withheld.emplace();  // it runs what comes, and what it says is on its way
  client.Say(Query(kInsert));
  Cancel(world, client);
  world.a.LetGo();
  world.Pass(milliseconds{2});
  CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
  auto& other = world.Connect();
  SECTION("until it has ended") {
    other.Say(Query("INSERT INTO t VALUES (2)"));
    world.Pass(milliseconds{1000});
    CHECK(other.Hears() == "");
    world.a.EndCancels();
    world.Pass(milliseconds{2});
    CHECK(other.Hears() == "C(INSERT 0 1) Z(I)");
  }
  SECTION("the client's own next statement included") {
    client.Say(Query("INSERT INTO t VALUES (3)"));
    world.Pass(milliseconds{1000});
    CHECK(client.Hears() == "");
    world.a.EndCancels();
    world.Pass(milliseconds{2});
    CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
  }
  SECTION("or is given up") {
    other.Say(Query("INSERT INTO t VALUES (2)"));
    world.Pass(milliseconds{6000});
    CHECK(other.Hears() == "C(INSERT 0 1) Z(I)");
  }
}

TEST_CASE("what waits for a place is cancelled here", "[core][session][cancel]") {
  World world([](Config& config) { config.servers[0].max_connections = 1; });
  auto& first = world.Connect();
  auto& client = world.Connect();
  first.Hold({Query("BEGIN"), Query(kInsert)});
  const auto said = GENERATE(as<std::string>{}, Query(kInsert), ExtendedBatch(kInsert), Query("BEGIN; " + kInsert));
  client.Say(said);
  REQUIRE(client.Hears() == "");
  Cancel(world, client);
  CHECK(client.Hears() == kCancelled);
  CHECK(world.a.cancelled.empty());
  first.Say(Query("COMMIT"));
  client.Say(Query("SELECT 1"));
  CHECK(client.Hears() == "T D(b) C(SELECT 1) Z(I)");
  CHECK(world.a.TimesRun(kInsert) == 1);
}

TEST_CASE("a cancel request during a run that does not count ends the statement", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  world.BeQuiet(client);
  world.b.withheld.emplace();
  enum class Run { kSentTooEarly, kFailed, kLost };
  const auto run = GENERATE(Run::kSentTooEarly, Run::kFailed, Run::kLost);
  if (run == Run::kSentTooEarly) world.Write(world.a);  // past this Waypost
  if (run == Run::kFailed) world.b.fails_with = "40001";
  client.Say(Query("SELECT two FROM t"));
  REQUIRE(world.b.TimesRun("SELECT two") == 1);
  Cancel(world, client);
  CHECK(world.b.cancelled.size() == 1);
  if (run == Run::kLost) world.b.serving().front()->End("connection reset by peer");
  else world.b.LetGo();  // answered before the request came
  world.Pass(milliseconds{50});
  CHECK(client.Hears() == kCancelled);
  CHECK(world.a.TimesRun("SELECT two") == 0);
}

TEST_CASE("what waits for a primary is cancelled here", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  world.Show(std::nullopt);
  client.Say(Query(kInsert));
  REQUIRE(client.Hears() == "");
  Cancel(world, client);
  CHECK(client.Hears() == kCancelled);
  world.Show(ServerId{0});
  world.Pass(milliseconds{1000});
  CHECK(client.Hears() == "");
  CHECK(world.a.TimesRun("INSERT") == 0);
}

TEST_CASE("a read that waits for its proof is cancelled here", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  client.Hold({Query(kInsert)});
  const bool answers = GENERATE(false, true);  // does the primary say where it is?
  world.b.lags = answers;
  world.a.links_hang = !answers;
  world.Write(world.a);
  client.Say(Query("SELECT * FROM t"));
  REQUIRE(client.Hears() == "");
  Cancel(world, client);
  CHECK(client.Hears() == kCancelled);
  world.a.links_hang = world.b.lags = false;
  world.b.wal = world.a.wal;
  client.Say(Query("SELECT * FROM t"));
  world.Pass(milliseconds{2000});  // a link that owes an answer is given up after monitor.timeout
  CHECK(client.Hears().ends_with("C(SELECT 1) Z(I)"));
}

TEST_CASE("a block that waits for its proof is cancelled, and has failed", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  client.Hold({Query("BEGIN READ ONLY"), Query("SELECT 1")});
  world.b.lags = true;
  world.Write(world.a);
  client.Say(Query("SELECT two FROM t"));
  REQUIRE(client.Hears() == "");
  Cancel(world, client);
  CHECK(client.Hears() == "E(57014) Z(E)");
  client.Say(Query("ROLLBACK"));
  CHECK(client.Hears() == "C(ROLLBACK) Z(I)");
}

TEST_CASE("a cancel request with a wrong key does nothing", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  world.a.hangs = true;
  client.Say(Query(kInsert));
  auto packet = client.CancelPacket();
  const auto at = GENERATE(11, 15);  // in the pid, in the secret
  packet[static_cast<std::size_t>(at)] = static_cast<char>(packet[static_cast<std::size_t>(at)] ^ 1);
  auto& request = world.ComeIn();
  request.Say(packet);
  CHECK(request.Hears() == "closed");
  CHECK(Counted(world, CancelOutcome::kUnknownKey) == 1);
  CHECK(world.a.cancelled.empty());
}

TEST_CASE("a client that goes while its statement runs has it cancelled", "[core][session][cancel]") {
  World world;
  auto& client = world.Connect();
  world.a.hangs = true;
  client.Say(Query(kInsert));
  client.Break();
  world.Pass(milliseconds{2});
  CHECK(world.a.cancelled.size() == 1);
  CHECK(world.places_taken(0) == world.a.serving().size());
}

}  // namespace waypost
