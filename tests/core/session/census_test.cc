// The census, of a real worker: see tests/support/session_world.h; and of workers that do not answer.
#include "core/observe/census.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/conversations.h"
#include "tests/support/session_world.h"

namespace waypost {
namespace {

using session_world::Client;
using session_world::World;
using wire::Query;

// What is asked of the one worker, whose loop the test turns.
class Asked {
 public:
  explicit Asked(World& world) : world_(world), census_({world.worker.get()}) {}

  SessionReport Sessions(const SessionQuestion& question = {}) {
    return Answer<SessionReport>([&](auto done) { census_.AskSessions(question, done); });
  }
  ClientReport Clients() {
    return Answer<ClientReport>([&](auto done) { census_.AskClients(done); });
  }
  PoolReport Pools() {
    return Answer<PoolReport>([&](auto done) { census_.AskPools(done); });
  }
  ConnectionReport Connections() {
    return Answer<ConnectionReport>([&](auto done) { census_.AskConnections(done); });
  }
  Ended End(std::uint64_t number) {
    return Answer<Ended>([&](auto done) { census_.AskToEnd(number, done); });
  }

 private:
  template <class Report, class Ask>
  Report Answer(Ask ask) {
    std::optional<Report> answer;
    ask([&](Report report) { answer = std::move(report); });
    for (int turns = 0; !answer; ++turns) {
      REQUIRE(turns < 1000);
      world_.loop->Step(Duration{0});
    }
    return *answer;
  }

  World& world_;
  Census census_;
};

template <class Set>
SessionQuestion For(Set set) {
  SessionQuestion question;
  set(question);
  return question;
}

SessionRow Only(const SessionReport& report) {
  REQUIRE(report.sessions.size() == 1);
  return report.sessions.front();
}

// A worker that does what it is told at once, or never.
class Stub final : public CensusPart {
 public:
  explicit Stub(bool answers) : answers_(answers) {}
  void Post(std::function<void()> task) override {
    if (answers_) task();
  }
  NextPlace ListSessions(std::size_t, const SessionQuestion&, SessionReport& into) override {
    ++into.total;
    into.sessions.emplace_back();
    return {};
  }
  NextPlace CountClients(std::size_t, ClientReport&) override { return {}; }
  NextPlace ListPools(std::size_t, PoolReport&) override { return {}; }
  NextPlace ListConnections(std::size_t, ConnectionReport&) override { return {}; }
  TrafficReport ReportTraffic() const override { return {}; }
  DigestReport ReportDigests() const override { return {}; }
  FenceReport ReportFence() const override { return {}; }
  std::optional<SessionDetail> DescribeSession(std::uint64_t number) override {
    return number == 1 ? std::optional(SessionDetail{}) : std::nullopt;
  }
  bool EndSession(std::uint64_t number) override { return number == 1; }
  NextPlace EndClientsOf(std::size_t, const std::string&, std::size_t& ended) override {
    ++ended;
    return {};
  }
  bool CancelSession(std::uint64_t number) override { return number == 1; }

 private:
  const bool answers_;
};

}  // namespace

TEST_CASE("a session's row says what it does and what ties it", "[core][observe][census]") {
  World world;
  Asked census(world);
  auto& client = world.Connect();
  auto row = Only(census.Sessions());
  CHECK(row.user == "app");
  CHECK(row.database == "d");
  CHECK(row.state == SessionState::kIdle);
  CHECK(row.server.empty());
  CHECK_FALSE(row.target);
  CHECK(row.statements == 0);

  SECTION("idle, after a read on the replica") {
    client.Say(Query("SELECT two FROM t WHERE a = 'secret'"));
    world.Pass(milliseconds{3000});
    row = Only(census.Sessions());
    CHECK(row.state == SessionState::kIdle);
    CHECK(row.server.empty());
    CHECK(row.target == Target::kReplica);
    CHECK(row.reason == Reason::kReadSafe);
    CHECK(row.statements == 1);
    REQUIRE(row.statement != nullptr);
    CHECK(row.statement->find("secret") == std::string::npos);
    CHECK(row.statement->find("SELECT two FROM t") == 0);
    CHECK(row.state_age >= milliseconds{2900});
    CHECK(row.age >= row.state_age);
  }
  SECTION("while its statement runs") {
    world.a.hangs = true;
    client.Say(Query("INSERT INTO t VALUES (1)"));
    world.Pass(milliseconds{50});
    row = Only(census.Sessions());
    CHECK(row.state == SessionState::kActive);
    CHECK(row.server == "a");
    CHECK(row.server_pid >= 100);
    CHECK(row.target == Target::kPrimary);
    CHECK(row.reason == Reason::kWrite);
    REQUIRE(row.statement != nullptr);
    CHECK(row.statement->starts_with("INSERT INTO t"));
  }
  SECTION("in a transaction, and in one that failed") {
    client.Hold({Query("BEGIN"), Query("INSERT INTO t VALUES (1)")});
    row = Only(census.Sessions());
    CHECK(row.state == SessionState::kIdleInTransaction);
    CHECK(row.server == "a");
    client.Say(Query("UPDATE t SET boom = 1"));
    CHECK(Only(census.Sessions()).state == SessionState::kAborted);
  }
  SECTION("waiting for a primary") {
    world.a.Die();
    world.Show(std::nullopt);
    client.Say(Query("INSERT INTO t VALUES (1)"));
    CHECK(Only(census.Sessions()).state == SessionState::kWaiting);
  }
}

TEST_CASE("a question may be for the tied or the others alone", "[core][observe][census]") {
  World world([](Config& config) { config.pool.mode = PoolMode::kSession; });
  Asked census(world);
  world.Connect().Say(Query("INSERT INTO t VALUES (1)"));
  world.Connect();
  CHECK(census.Sessions().total == 2);
  CHECK(Only(census.Sessions(For([](auto& asked) { asked.pinned = true; }))).pin == PinReason::kSessionMode);
  CHECK(Only(census.Sessions(For([](auto& asked) { asked.pinned = true; }))).server == "a");
  CHECK(Only(census.Sessions(For([](auto& asked) { asked.pinned = false; }))).pin == PinReason::kNone);
  CHECK(census.Sessions(For([](auto& asked) { asked.server = "a"; })).total == 1);
}

TEST_CASE("a statement is not known while digests are off", "[core][observe][census]") {
  World world([](Config& config) { config.digests.max = 0; });
  Asked census(world);
  world.Connect().Say(Query("SELECT two FROM t"));
  const auto row = Only(census.Sessions());
  CHECK(row.statement == nullptr);
  CHECK(row.target == Target::kReplica);
  CHECK(row.statements == 1);
}

TEST_CASE("many sessions are looked at some a turn, and a question is for a part of them", "[core][observe][census]") {
  World world([](Config& config) { config.max_logins = 5000; });
  Asked census(world);
  world.Connect();
  constexpr std::size_t kMany = 1000;
  for (std::size_t i = 0; i < kMany; ++i) world.ComeIn();
  const auto all = census.Sessions(For([](auto& asked) { asked.limit = 5000; }));
  CHECK(all.total == kMany + 1);
  CHECK(all.sessions.size() == kMany + 1);
  SessionReport one_turn;
  CHECK(world.worker->ListSessions(0, {}, one_turn) == CensusPart::kRowsPerTurn);
  CHECK(one_turn.total == CensusPart::kRowsPerTurn);

  const auto page = census.Sessions(For([](auto& asked) {
    asked.offset = 990;
    asked.limit = 20;
  }));
  CHECK(page.total == kMany + 1);
  REQUIRE(page.sessions.size() == 11);
  CHECK(page.sessions.front().id == all.sessions[990].id);
  CHECK(Only(census.Sessions(For([](auto& asked) { asked.user = "app"; }))).state == SessionState::kIdle);
  CHECK(census.Sessions(For([](auto& asked) { asked.state = SessionState::kLogin; })).total == kMany);
  CHECK(census.Sessions(For([](auto& asked) { asked.user = "nobody"; })).total == 0);

  const auto clients = census.Clients();
  REQUIRE(clients.crowds.size() == 2);
  CHECK(clients.crowds[0].logging_in == kMany);
  CHECK(clients.crowds[1].user == "app");
  CHECK(clients.crowds[1].database == "d");
  CHECK(clients.crowds[1].idle == 1);
}

TEST_CASE("a session that goes on on another worker is the same one", "[core][observe][census]") {
  World world;
  Asked census(world);
  auto& client = world.Connect();
  client.Say(Query("SELECT two FROM t"));
  const auto before = Only(census.Sessions());
  REQUIRE(world.Move(client));
  const auto after = Only(census.Sessions());
  CHECK(after.id.number == before.id.number);
  CHECK(after.statements == before.statements);
  CHECK(after.target == before.target);
  CHECK(after.age >= before.age);
  REQUIRE(after.statement != nullptr);
  CHECK(*after.statement == *before.statement);
}

TEST_CASE("pools and server connections say who holds what", "[core][observe][census]") {
  World world;
  Asked census(world);
  auto& client = world.Connect();
  client.Say(Query("SELECT two FROM t"));
  client.Hold({Query("BEGIN"), Query("INSERT INTO t VALUES (1)")});
  const auto pools = census.Pools().pools;
  const auto pool_of = [&](std::string_view server) {
    const auto found = std::find_if(pools.begin(), pools.end(), [&](const PoolRow& row) { return row.server == server; });
    REQUIRE(found != pools.end());
    return *found;
  };
  CHECK(pool_of("a").busy == 1);
  CHECK(pool_of("a").role == Role::kPrimary);
  CHECK(pool_of("b").idle == 1);
  CHECK(pool_of("b").user == "app");
  CHECK(pool_of("b").database == "d");
  for (const auto& row : census.Connections().connections) {
    CHECK(row.pid >= 100);
    CHECK(row.state == (row.server == "a" ? ConnectionState::kBusy : ConnectionState::kIdle));
    CHECK(row.session == (row.server == "a" ? std::optional(Only(census.Sessions()).id) : std::nullopt));
  }
}

TEST_CASE("a session that is ended is told so, and what it runs is cancelled", "[core][observe][census]") {
  World world;
  Asked census(world);
  auto& client = world.Connect();
  auto& other = world.Connect();
  const auto number = census.Sessions().sessions.front().id.number;
  const bool runs = GENERATE(false, true);
  if (runs) {
    world.a.hangs = true;
    client.Say(Query("INSERT INTO t VALUES (1)"));
  }
  CHECK(census.End(number) == Ended::kDone);
  world.Run();
  CHECK(client.Hears() == "E(57P01!) closed");
  CHECK(world.a.cancelled.size() == (runs ? 1U : 0U));
  CHECK(census.End(number) == Ended::kNoSuchSession);
  other.Say(Query("SELECT 1"));
  CHECK(other.open());
}

TEST_CASE("a session in full names the settings that it has changed", "[core][observe][census]") {
  World world;
  auto& client = world.Connect();
  client.Say(Query("SET work_mem = '1MB'"));
  client.Hold({ParseMessage("s", "SELECT two FROM t") + SyncMessage()});
  Asked census(world);
  const auto id = Only(census.Sessions()).id;
  const auto detail = world.worker->DescribeSession(id.number);
  REQUIRE(detail);
  CHECK(detail->settings == std::vector<std::string>{"work_mem"});
  CHECK(detail->prepared == 1);
  CHECK(detail->listener == "listener");
  CHECK_FALSE(world.worker->DescribeSession(id.number + 1));
}

TEST_CASE("a worker that does not answer is missing, and holds nobody up for ever", "[core][observe][census]") {
  Stub here(true), hangs(false);
  const Census census({&here, &hangs}, milliseconds{20});
  const auto report = census.Sessions({});
  CHECK(report.total == 1);
  CHECK(report.workers_missing == 1);
  CHECK(census.End({.worker = 0, .number = 1}) == Ended::kDone);
  CHECK(census.End({.worker = 7, .number = 1}) == Ended::kDone);  // it may have moved since
  CHECK(census.Cancel({.worker = 0, .number = 2}) == Ended::kNoAnswer);
  const Census complete({&here});
  CHECK(complete.Cancel({.worker = 0, .number = 2}) == Ended::kNoSuchSession);
  bool answered = false;
  CHECK(census.Session({.worker = 0, .number = 1}, answered));
  CHECK(answered);
}

TEST_CASE("the id of a session is its worker and its number", "[core][observe][census]") {
  CHECK(SessionIdText({.worker = 2, .number = 17}) == "2-17");
  CHECK(ReadSessionId("2-17") == SessionId{.worker = 2, .number = 17});
  for (const auto* text : {"", "-", "2", "2-", "-17", "a-b", "2-17 ", " 2-17", "2--17", "2-99999999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(ReadSessionId(text));
  }
  for (int i = 0; i < static_cast<int>(SessionState::kCount); ++i) {
    const auto state = static_cast<SessionState>(i);
    CHECK(ReadSessionState(SessionStateName(state)) == state);
  }
  CHECK_FALSE(ReadSessionState("busy"));
}

}  // namespace waypost
