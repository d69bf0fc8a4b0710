// Time-outs, back-pressure and answers that are thrown away, in whole sessions. See tests/support/session_world.h.
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

}  // namespace

// --- time-outs

TEST_CASE("who does not log in within login_timeout is closed without a word", "[core][session][phases]") {
  World world([](Config& config) { config.limits.login_timeout = milliseconds{1000}; });
  auto& client = world.ComeIn();
  const bool spoke = GENERATE(false, true);
  if (spoke) client.Say(world.StartupOf().substr(0, 9));
  world.Pass(milliseconds{500});
  CHECK(client.open());
  world.Pass(milliseconds{1200});
  CHECK(client.Hears() == "closed");
}

TEST_CASE("the oldest of too many who do not log in makes way", "[core][session][phases]") {
  World world([](Config& config) { config.max_logins = 2; });
  auto& first = world.ComeIn();
  auto& second = world.ComeIn();
  auto& third = world.Connect();
  CHECK(first.Hears() == "E(53300!) closed");
  CHECK(second.open());
  CHECK(third.logged_in());
}

TEST_CASE("one client too many is told so, once it has proved who it is", "[core][session][phases]") {
  World world([](Config& config) { config.max_clients = 1; });
  auto& first = world.Connect();
  auto& second = world.Connect();
  CHECK(second.Hears() == "E(53300!) closed");
  first.Say(wire::Message('X'));
  world.Pass(milliseconds{2});
  CHECK(world.Connect().logged_in());
}

TEST_CASE("one client too many of a database or an address makes room when it ends", "[core][session][phases]") {
  const bool of_database = GENERATE(true, false);
  World world([&](Config& config) {
    if (of_database) config.databases.push_back({.name = "d", .server_name = {}, .user = {}, .max_clients = 1, .overrides = {}});
    else config.per_address.max_clients = 1;
  });
  auto& first = world.Connect();
  CHECK(first.logged_in());
  CHECK(world.Connect().Hears() == "E(53300!) closed");
  SECTION("when it ends") { first.Say(wire::Message('X')); }
  SECTION("also if it was moved") {
    REQUIRE(world.Move(first));
    CHECK(world.Connect().Hears() == "E(53300!) closed");
    first.Say(wire::Message('X'));
  }
  world.Pass(milliseconds{2});
  CHECK(world.Connect().logged_in());
}

TEST_CASE("addresses that are not limited are not", "[core][session][phases]") {
  World world([](Config& config) {
    config.per_address = {.max_clients = 1, .logins_per_second = 1, .unlimited = {*ReadIpRange("2001:db8::7")}};
  });
  for (int i = 0; i < 3; ++i) CHECK(world.Connect().logged_in());
}

TEST_CASE("so many log-ins a second come from one address, begun or not ended", "[core][session][phases]") {
  World world([](Config& config) { config.per_address.logins_per_second = 2; });
  CHECK(world.Connect().logged_in());
  auto& silent = world.ComeIn();
  silent.Say(world.StartupOf());
  auto& third = world.ComeIn();
  third.Say(world.StartupOf());
  CHECK(third.Hears() == "E(53300!) closed");
  world.Pass(milliseconds{600});
  CHECK(world.Connect().logged_in());
}

TEST_CASE("who fails to log in hears of it after failed_login_delay", "[core][session][phases]") {
  World world([](Config& config) { config.failed_login_delay = milliseconds{1000}; });
  auto& client = world.Connect("d", "nobody");
  client.Hears();
  const bool goes_on = GENERATE(false, true);
  if (goes_on) client.Say(wire::Query("SELECT 1"));
  world.Pass(milliseconds{900});
  CHECK(client.Hears().empty());
  CHECK(client.open());
  world.Pass(milliseconds{700});
  CHECK(client.Hears() == "E(28P01!) closed");
}

TEST_CASE("a login waits for a primary, no longer than failover_hold", "[core][session][phases]") {
  World world([](Config& config) { config.cluster.failover_hold = milliseconds{3000}; });
  world.Show(std::nullopt);
  world.Run();
  auto& client = world.Connect();
  world.Pass(milliseconds{1000});
  CHECK(!client.logged_in());
  CHECK(client.open());
  SECTION("that comes") {
    world.Show(ServerId{0});
    world.Pass(milliseconds{500});
    CHECK(client.logged_in());
  }
  SECTION("that does not") {
    world.Pass(milliseconds{3000});
    CHECK(client.Hears() == "E(57P03!) closed");
  }
}

TEST_CASE("a login waits two seconds for its catalogue, then goes on without", "[core][session][phases]") {
  World world;
  world.shared.want_catalog = [](const std::string&) {};
  auto& client = world.Connect();
  world.Pass(milliseconds{1000});
  CHECK(!client.logged_in());
  world.Pass(milliseconds{1700});
  CHECK(client.logged_in());
  client.Say(Query("SELECT * FROM t"));
  CHECK(client.Hears() == "T D(a) C(SELECT 1) Z(I)");
}

TEST_CASE("a statement waits for a server connection, no longer than query_wait_timeout", "[core][session][phases]") {
  World world([](Config& config) {
    config.pool.query_wait_timeout = milliseconds{1000};
    config.servers[0].max_connections = 1;
  });
  auto& first = world.Connect();
  auto& client = world.Connect();
  first.Hold({Query("BEGIN"), Query("INSERT INTO t VALUES (0)")});
  client.Say(Query(kInsert));
  world.Pass(milliseconds{900});
  CHECK(client.Hears() == "");
  SECTION("that becomes free") {
    first.Say(Query("COMMIT"));
    world.Pass(milliseconds{2});
    CHECK(client.Hears() == "C(INSERT 0 1) Z(I)");
  }
  SECTION("that does not") {
    world.Pass(milliseconds{200});
    CHECK(client.Hears() == "E(53300) Z(I)");
    first.Say(Query("COMMIT"));
    CHECK(world.a.TimesRun(kInsert) == 0);
  }
}

TEST_CASE("a statement waits for a primary, no longer than failover_hold", "[core][session][phases]") {
  World world([](Config& config) { config.cluster.failover_hold = milliseconds{1000}; });
  auto& client = world.Connect();
  world.Show(std::nullopt);
  client.Say(Query(kInsert));
  world.Pass(milliseconds{2000});
  CHECK(client.Hears() == "E(57P03) Z(I)");
  world.Show(ServerId{0});
  world.Pass(milliseconds{1000});
  CHECK(world.a.TimesRun("INSERT") == 0);
}

TEST_CASE("a batch without its end is sent after 3 ms, whatever it is", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  client.Say(ParseMessage("", "SELECT * FROM t") + DescribeMessage('S', ""));
  CHECK(client.Hears() == "");
  world.Pass(milliseconds{5});
  CHECK(client.Hears() == "1 t T");
  client.Say(BindMessage("", "") + ExecuteMessage() + SyncMessage());
  CHECK(client.Hears() == "2 D(a) C(SELECT 1) Z(I)");
}

// --- proofs

TEST_CASE("a read that was sent at once is held until its proof is there", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  world.BeQuiet(client);
  world.a.links_hang = true;
  client.Say(Query("SELECT two FROM t"));
  CHECK(world.b.TimesRun("SELECT two") == 1);
  CHECK(client.Hears() == "");
  // The link that owes the proof is given up after monitor.timeout: the answer is thrown away, and the read runs on the primary.
  world.Pass(milliseconds{1500});
  CHECK(client.Hears() == "T D(a) D(a) C(SELECT 2) Z(I)");
}

TEST_CASE("a read that was sent too early is thrown away, and runs where its proof is", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  world.BeQuiet(client);
  const bool lags = GENERATE(false, true);
  world.b.lags = lags;
  // Written past this Waypost.
  world.Write(world.a);
  client.Say(Query("SELECT two FROM t"));
  world.Pass(milliseconds{10});
  const std::string reader = lags ? "a" : "b";
  CHECK(client.Hears() == "T D(" + reader + ") D(" + reader + ") C(SELECT 2) Z(I)");
  CHECK(world.b.TimesRun("SELECT two") + world.a.TimesRun("SELECT two") == 2);
}

TEST_CASE("a replica's error is not the client's: the read runs again on the primary", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  world.b.fails_with = "40001";
  const auto said = GENERATE(as<std::string>{}, Query("SELECT two FROM t"), ExtendedBatch("SELECT two FROM t"));
  client.Say(said);
  const auto heard = client.Hears();
  CHECK(heard.find("E(") == std::string::npos);
  CHECK(heard.ends_with("D(a) D(a) C(SELECT 2) Z(I)"));
}

// --- back-pressure

TEST_CASE("a client that does not take its answers stops its server, not others", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  client.Hold({Query("BEGIN"), Query(kInsert)});
  client.Fill();
  client.Say(Query("SELECT two FROM t"));
  const auto serving = world.a.serving();
  REQUIRE(serving.size() == 1);
  CHECK(serving.front()->paused());
  auto& other = world.Connect();
  other.Say(Query("SELECT 1"));
  CHECK(other.Hears() == "T D(b) C(SELECT 1) Z(I)");
  client.Drain();
  world.Run();
  CHECK(!serving.front()->paused());
  client.Hears();
  client.Say(Query("COMMIT"));
  CHECK(client.Hears() == "C(COMMIT) Z(I)");
}

TEST_CASE("what a client says ahead is not read beyond a bound while its statement runs", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  world.a.withheld.emplace();
  client.Say(Query(kInsert));
  std::string much;
  for (int i = 0; i < 4000; ++i) much += Query("INSERT INTO t VALUES (" + std::to_string(1000 + i) + ")");
  world.chunk = 16 * 1024;
  client.Say(much);
  CHECK(client.paused());
  world.a.LetGo();
  world.Pass(milliseconds{50});
  CHECK(!client.paused());
  CHECK(world.a.TimesRun("INSERT") == 4001);
}

TEST_CASE("a server that does not take copy data stops its client", "[core][session][phases]") {
  World world;
  auto& client = world.Connect();
  client.Say(Query("COPY t FROM STDIN"));
  CHECK(client.Hears() == "G");
  const auto serving = world.a.serving();
  REQUIRE(serving.size() == 1);
  serving.front()->Fill();
  client.Say(wire::Message('d', std::string(100'000, 'x')));
  CHECK(client.paused());
  serving.front()->Drain();
  world.Run();
  CHECK(!client.paused());
  client.Say(wire::Message('c'));
  CHECK(client.Hears() == "C(COPY 1) Z(I)");
}

// --- the end

TEST_CASE("a worker that drains lets what is under way end", "[core][session][phases]") {
  World world;
  auto& idle = world.Connect();
  auto& busy = world.Connect();
  auto& block = world.Connect();
  auto& logging_in = world.ComeIn();
  block.Hold({Query("BEGIN"), Query(kInsert)});
  world.a.withheld.emplace();
  busy.Say(Query(kInsert));
  world.worker->Drain(false);
  world.Run();
  CHECK(idle.Hears() == "E(57P01!) closed");
  CHECK(logging_in.Hears() == "E(57P01!) closed");
  CHECK(busy.open());
  CHECK(block.open());
  world.a.LetGo();
  world.Pass(milliseconds{2});
  CHECK(busy.Hears() == "C(INSERT 0 1) Z(I) E(57P01!) closed");
  CHECK(!world.worker->drained());
  block.Say(Query("COMMIT"));
  CHECK(block.Hears() == "C(COMMIT) Z(I) E(57P01!) closed");
  CHECK(world.worker->drained());
}

}  // namespace waypost
