#include "routing/intents.h"

#include <catch2/catch.hpp>

#include "routing/decide.h"

using namespace waypost;

namespace {

ClusterView MakeView(TimePoint now) {
  ClusterView view;
  view.version = 1;
  view.servers.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    auto& server = view.servers[i];
    server.name = "pg" + std::to_string(i);
    server.up = true;
    server.sampled = now;
    server.role = i == 0 ? Role::kPrimary : Role::kReplica;
    server.streaming = server.readable = server.eligible = i > 0;
    server.sync_state = i > 0 ? SyncState::kSync : SyncState::kNone;
  }
  view.primary = 0;
  return view;
}

}  // namespace

TEST_CASE("a drained replica is read from under no policy, and says why", "[routing][intents]") {
  const auto now = Clock::now();
  const auto intent = GENERATE(Intent::kDrain, Intent::kMaintenance);
  const auto from = GENERATE(ReadFrom::kSynchronous, ReadFrom::kStreaming);
  const auto consistency = GENERATE(Consistency::kStrict, Consistency::kBounded, Consistency::kEventual);
  auto view = MakeView(now);
  const RoutingPolicy policy{.read_from = from, .consistency = consistency};
  REQUIRE(MayReadFrom(view.servers[1], view, policy, now));
  ApplyIntents({{"pg1", {intent, {}}}}, view);
  CHECK_FALSE(MayReadFrom(view.servers[1], view, policy, now));
  CHECK(MayReadFrom(view.servers[2], view, policy, now));
  CHECK(WhyNotReadFrom(view.servers[1], view, policy, now) ==
        (intent == Intent::kDrain ? "drained by the operator" : "in maintenance, set by the operator"));
  CHECK_FALSE(view.servers[1].eligible);
}

TEST_CASE("the primary is not drained, and is used whatever was wanted of it before", "[routing][intents]") {
  const auto now = Clock::now();
  auto view = MakeView(now);
  CHECK(WhyNotIntent(view, "pg0", Intent::kDrain).find("promote another server first") != std::string::npos);
  CHECK(WhyNotIntent(view, "pg0", Intent::kActive).empty());
  CHECK(WhyNotIntent(view, "pg1", Intent::kMaintenance).empty());
  ApplyIntents({{"pg0", {Intent::kDrain, {}}}, {"gone", {Intent::kDrain, {}}}}, view);
  CHECK(view.primary == ServerId{0});
  CHECK(view.servers[0].ineligible_why.empty());
  CHECK(view.servers[0].up);
}

TEST_CASE("a weight that the operator gave stands instead of the configuration's", "[routing][intents]") {
  const auto now = Clock::now();
  auto view = MakeView(now);
  ApplyIntents({{"pg1", {Intent::kActive, 0U}}, {"pg2", {Intent::kActive, 7U}}}, view);
  CHECK(WhyNotReadFrom(view.servers[1], view, {}, now) == "its weight is 0");
  CHECK(view.servers[2].weight == 7);
  CHECK(MayReadFrom(view.servers[2], view, {}, now));
}

TEST_CASE("each name of an intent is read as it is written", "[routing][intents]") {
  for (const auto intent : {Intent::kActive, Intent::kDrain, Intent::kMaintenance})
    CHECK(ParseIntent(IntentName(intent)) == intent);
  CHECK_FALSE(ParseIntent("drained"));
}

TEST_CASE("what changes between two views is told once, and nothing of servers in maintenance", "[routing][intents]") {
  const auto now = Clock::now();
  const auto was = MakeView(now);
  CHECK(ChangesBetween(was, was).empty());
  auto is = was;
  is.servers[1].up = is.servers[1].eligible = false;
  is.servers[1].role = Role::kUnknown;
  is.servers[1].error = "refused";
  auto changes = ChangesBetween(was, is);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == "server_down");
  CHECK(changes[0].bad);
  CHECK(changes[0].text == "pg1 does not answer: refused");
  is.servers[1].intent = Intent::kMaintenance;
  CHECK(ChangesBetween(was, is).empty());
  is = was;
  is.primary = 1;
  is.servers[1].role = Role::kPrimary;
  changes = ChangesBetween(was, is);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == "primary_changed");
  is = was;
  is.primary.reset();
  CHECK(ChangesBetween(was, is).front().kind == "primary_lost");
  is = was;
  is.primary = 1;
  is.servers[1].role = Role::kPrimary;
  ++is.successions;
  is.lost_bytes = 5;
  is.servers[0].role = Role::kUnknown;
  is.servers[0].error = "on an older timeline";
  changes = ChangesBetween(was, is);
  REQUIRE(changes.size() == 3);
  CHECK(changes[1].kind == "wal_lost");
  CHECK(changes[1].text == "5 bytes of WAL are lost: the last primary had flushed them, and pg1 was promoted without them");
  CHECK(changes[2].kind == "server_deposed");
  CHECK(changes[2].text == "pg0 is used as a primary no longer: on an older timeline");
  auto later = is;
  later.servers[0].error = "on a timeline that is older still";
  CHECK(ChangesBetween(is, later).empty());
  auto back = was;  // an old primary that comes back beside a new one
  back.primary = 1;
  back.servers[1].role = Role::kPrimary;
  back.servers[0].up = false;
  back.servers[0].role = Role::kUnknown;
  later = back;
  later.servers[0].up = true;
  later.servers[0].error = "on an older timeline";
  changes = ChangesBetween(back, later);
  REQUIRE(changes.size() == 2);
  CHECK(changes[1].kind == "server_deposed");
  is = was;
  ApplyIntents({{"pg2", {Intent::kDrain, {}}}}, is);
  changes = ChangesBetween(was, is);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].kind == "replica_ineligible");
  CHECK_FALSE(changes[0].bad);
}
