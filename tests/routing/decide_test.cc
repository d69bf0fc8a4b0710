#include "routing/decide.h"

#include <array>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

namespace waypost {
namespace {

// A primary (0) and two replicas (1, 2) that may be read from, a read, and the default policy.
struct Scene {
  ClusterView view;
  BatchFacts batch{.cls = Class::kRead, .why = Reason::kReadSafe};
  SessionFacts session;
  RoutingPolicy policy;
  std::vector<std::uint32_t> outstanding;
  std::uint32_t turn = 0;
  std::uint64_t refused = 0;
  TimePoint now{seconds(1000)};

  Scene() {
    view.servers.resize(3);
    for (auto& server : view.servers) {
      server.up = true;
      server.role = Role::kReplica;
      server.sampled = now;
      server.streaming = true;
      server.sync_state = SyncState::kSync;
      server.eligible = true;
    }
    view.servers[0].role = Role::kPrimary;
    view.servers[0].eligible = view.servers[0].streaming = false;
    view.primary = ServerId{0};
    view.sync_guarantee = true;
  }

  ServerView& replica(ServerId id) { return view.servers[id]; }
  [[nodiscard]] Decision Go() const {
    return Decide(batch, session, view, policy, {outstanding, turn, nullptr, {}, refused}, now);
  }
  [[nodiscard]] std::string Said() const {
    const auto decision = Go();
    return std::string(TargetName(decision.target)) + " " + std::string(ReasonName(decision.reason));
  }
  // How many of `count` batches each server gets, if none ends.
  std::vector<std::uint32_t> Spread(int count) {
    outstanding.assign(view.servers.size(), 0);
    for (int i = 0; i < count; ++i) {
      const auto decision = Go();
      ++outstanding[decision.target == Target::kReplica ? decision.server : ServerId{0}];
    }
    return outstanding;
  }
  void NoReplica() { view.servers[1].streaming = view.servers[2].streaming = false; }
};

}  // namespace

TEST_CASE("a read goes to a replica and may run again", "[routing][decide]") {
  const Scene scene;
  const auto decision = scene.Go();
  CHECK(decision.target == Target::kReplica);
  CHECK(decision.reason == Reason::kReadSafe);
  CHECK((decision.server == 1 || decision.server == 2));
  CHECK(decision.may_rerun);
}

TEST_CASE("a replica that does not let the user in gets none of his reads", "[routing][decide]") {
  Scene scene;
  scene.refused = 1U << 1U;
  CHECK(scene.Spread(8) == std::vector<std::uint32_t>{0, 0, 8});
  scene.refused |= 1U << 2U;
  CHECK(scene.Said() == "primary no_eligible_replica");
}

TEST_CASE("a read that does harm twice runs once", "[routing][decide]") {
  Scene scene;
  scene.batch.repeatable = false;
  CHECK(scene.Said() == "replica read_safe");
  CHECK_FALSE(scene.Go().may_rerun);
}

TEST_CASE("the first statement of a block takes it where the block may run", "[routing][decide]") {
  using Opens = SessionFacts::Opens;
  Scene scene;
  scene.session.opens = Opens::kReadWrite;
  CHECK(scene.Said() == "primary in_transaction");
  scene.session.opens = Opens::kReadOnly;
  CHECK(scene.Said() == "replica read_only_transaction");
  scene.batch.cls = Class::kSession;  // SET, DECLARE
  scene.batch.why = Reason::kSession;
  CHECK(scene.Said() == "replica read_only_transaction");
  scene.batch.cls = Class::kWrite;  // what fails on either side, or what only the primary can tell
  scene.batch.why = Reason::kServerLocal;
  CHECK(scene.Said() == "primary server_local");
}

TEST_CASE("a held connection is used whatever the batch is", "[routing][decide]") {
  Scene scene;
  scene.session.holds_connection = true;
  scene.session.holds_why = GENERATE(Reason::kInTransaction, Reason::kSessionPinned, Reason::kSessionMode);
  scene.batch.cls = GENERATE(Class::kRead, Class::kWrite, Class::kSession, Class::kTransaction);
  scene.batch.end_known = GENERATE(true, false);
  const auto decision = scene.Go();
  CHECK(decision.target == Target::kHeld);
  CHECK(decision.reason == scene.session.holds_why);
  CHECK_FALSE(decision.may_rerun);
}

TEST_CASE("what is no read goes to the primary for its own reason", "[routing][decide]") {
  Scene scene;
  scene.batch.cls = GENERATE(Class::kWrite, Class::kSession, Class::kTransaction);
  scene.batch.why = GENERATE(Reason::kWrite, Reason::kDdl, Reason::kVolatileFunction, Reason::kTaught);
  SECTION("always") {}
  SECTION("even where the primary is not to be read from") { scene.policy.read_from_primary = ReadFromPrimary::kNever; }
  SECTION("even where what is old will do") { scene.policy.consistency = Consistency::kEventual; }
  SECTION("even without a primary") { scene.view.primary.reset(); }
  const auto decision = scene.Go();
  CHECK(decision.target == Target::kPrimary);
  CHECK(decision.reason == scene.batch.why);
  CHECK_FALSE(decision.may_rerun);
}

TEST_CASE("BEGIN READ ONLY goes to a replica", "[routing][decide]") {
  Scene scene;
  scene.batch.cls = Class::kTransaction;
  scene.batch.why = Reason::kTransaction;
  CHECK(scene.Said() == "primary transaction");
  scene.batch.begins_read_only = true;
  CHECK(scene.Said() == "replica read_only_transaction");
  scene.NoReplica();
  CHECK(scene.Said() == "primary no_eligible_replica");
}

TEST_CASE("what forbids replicas, the strongest first", "[routing][decide]") {
  Scene scene;
  scene.session.serializable_default = true;
  CHECK(scene.Said() == "primary serializable");
  scene.policy.consistency = Consistency::kPrimary;
  CHECK(scene.Said() == "primary consistency_primary");
  scene.batch.retained = false;
  CHECK(scene.Said() == "primary too_large");
  scene.batch.end_known = false;
  CHECK(scene.Said() == "primary open_ended");
  scene.batch.cls = Class::kWrite;
  scene.batch.why = Reason::kDdl;
  CHECK(scene.Said() == "primary ddl");
  scene.session.holds_connection = true;
  CHECK(scene.Said() == "held in_transaction");
}

TEST_CASE("read_from = none keeps reads on the primary", "[routing][decide]") {
  Scene scene;
  scene.policy.read_from = ReadFrom::kNone;
  scene.policy.read_from_primary = GENERATE(ReadFromPrimary::kFallback, ReadFromPrimary::kAlways, ReadFromPrimary::kNever);
  CHECK(scene.Said() == "primary consistency_primary");
}

TEST_CASE("without a replica read_from_primary decides", "[routing][decide]") {
  Scene scene;
  scene.NoReplica();
  CHECK(scene.Said() == "primary no_eligible_replica");
  scene.policy.read_from_primary = ReadFromPrimary::kNever;
  CHECK(scene.Said() == "refused no_eligible_replica");
  scene.policy.read_from_primary = ReadFromPrimary::kAlways;
  CHECK(scene.Said() == "primary primary_share");
  scene.view.primary.reset();
  CHECK(scene.Said() == "primary no_eligible_replica");
}

TEST_CASE("no servers at all is no replica", "[routing][decide]") {
  Scene scene;
  scene.view = {};
  CHECK(scene.Said() == "primary no_eligible_replica");
  scene.policy.read_from_primary = ReadFromPrimary::kNever;
  CHECK(scene.Said() == "refused no_eligible_replica");
}

TEST_CASE("the least busy replica is taken", "[routing][decide]") {
  Scene scene;
  scene.outstanding = {0, 3, 1};
  CHECK(scene.Go().server == 2);
  scene.outstanding = {9, 0, 1};
  CHECK(scene.Go().server == 1);
  SECTION("what is not counted yet is not busy") {
    scene.outstanding = {0, 1};
    CHECK(scene.Go().server == 2);
  }
}

TEST_CASE("servers that are equally busy have their turns", "[routing][decide]") {
  Scene scene;
  const auto step = GENERATE(1U, 2U, 3U, 4U, 7U);  // other turns are taken by writes
  CAPTURE(step);
  std::array<int, 3> chosen{};
  for (scene.turn = 0xFFFFFF00U; chosen[1] + chosen[2] < 300; scene.turn += step) ++chosen[scene.Go().server];
  CHECK(chosen[0] == 0);
  CHECK(chosen[1] >= 140);
  CHECK(chosen[2] >= 140);
  SECTION("but the less busy comes before them") {
    scene.outstanding = {0, 1, 0};
    for (scene.turn = 0; scene.turn < 10; ++scene.turn) CHECK(scene.Go().server == 2);
  }
}

TEST_CASE("reads are shared by weight", "[routing][decide]") {
  Scene scene;
  scene.replica(1).weight = 3;
  CHECK(scene.Spread(400) == std::vector<std::uint32_t>{0, 300, 100});
  SECTION("and a weight of 0 takes none") {
    scene.replica(1).weight = 0;
    CHECK(scene.Spread(10) == std::vector<std::uint32_t>{0, 0, 10});
    scene.replica(2).weight = 0;
    CHECK(scene.Said() == "primary no_eligible_replica");
  }
}

TEST_CASE("read_from_primary = always gives the primary its share", "[routing][decide]") {
  Scene scene;
  scene.policy.read_from_primary = ReadFromPrimary::kAlways;
  CHECK(scene.Spread(300) == std::vector<std::uint32_t>{100, 100, 100});
  scene.outstanding = {0, 5, 5};
  CHECK(scene.Said() == "primary primary_share");
  CHECK_FALSE(scene.Go().may_rerun);
  SECTION("unless its weight is 0") {
    scene.view.servers[0].weight = 0;
    CHECK(scene.Spread(100) == std::vector<std::uint32_t>{0, 50, 50});
    scene.NoReplica();
    CHECK(scene.Said() == "primary no_eligible_replica");
  }
}

TEST_CASE("what makes a replica unfit to be read from", "[routing][decide]") {
  Scene scene;
  scene.policy.consistency = GENERATE(Consistency::kStrict, Consistency::kEventual);
  REQUIRE(MayReadFrom(scene.replica(1), scene.view, scene.policy, scene.now));
  SECTION("it was removed from the configuration") { scene.replica(1).removed = true; }
  SECTION("it is down") { scene.replica(1).up = false; }
  SECTION("its role is not known") { scene.replica(1).role = Role::kUnknown; }
  SECTION("it was promoted") { scene.replica(1).role = Role::kPrimary; }
  SECTION("it has no weight") { scene.replica(1).weight = 0; }
  SECTION("the last answer is too old") {
    scene.replica(1).sampled = scene.now - 2 * scene.view.probe_interval - milliseconds(1);
  }
  CHECK_FALSE(MayReadFrom(scene.replica(1), scene.view, scene.policy, scene.now));
  CHECK(scene.Go().server == 2);
}

TEST_CASE("a sample counts for two probe intervals", "[routing][decide]") {
  Scene scene;
  scene.view.probe_interval = milliseconds(40);
  scene.replica(1).sampled = scene.now - milliseconds(80);
  CHECK(MayReadFrom(scene.replica(1), scene.view, scene.policy, scene.now));
  CHECK_FALSE(MayReadFrom(scene.replica(1), scene.view, scene.policy, scene.now + std::chrono::nanoseconds(1)));
}

TEST_CASE("read_from says which replicas", "[routing][decide]") {
  Scene scene;
  scene.policy.consistency = GENERATE(Consistency::kStrict, Consistency::kBounded, Consistency::kEventual);
  scene.replica(2).removed = true;
  CHECK(scene.Said() == "replica read_safe");
  SECTION("not one that does not stream") {
    scene.replica(1).streaming = false;
    scene.policy.read_from = GENERATE(ReadFrom::kSynchronous, ReadFrom::kStreaming);
    CHECK(scene.Said() == "primary no_eligible_replica");
  }
  SECTION("unless what is old will do") {
    scene.view.primary.reset();
    scene.replica(1).streaming = false;
    scene.replica(1).readable = true;
    CHECK(scene.Said() ==
          (scene.policy.consistency == Consistency::kStrict ? "primary no_eligible_replica" : "replica read_safe"));
  }
  SECTION("those of the synchronous set, or any") {
    scene.replica(1).sync_state = GENERATE(SyncState::kNone, SyncState::kAsync, SyncState::kPotential);
    CHECK(scene.Said() == "primary no_eligible_replica");
    scene.policy.read_from = ReadFrom::kStreaming;
    CHECK(scene.Said() == "replica read_safe");
  }
  SECTION("a quorum is a synchronous set") {
    scene.replica(1).sync_state = SyncState::kQuorum;
    CHECK(scene.Said() == "replica read_safe");
  }
}

TEST_CASE("what must be proved before a read", "[routing][decide][fence]") {
  Scene scene;
  Fence fence;
  const Epoch epoch{7, 1, 100};
  const auto decide = [&] {
    return Decide(scene.batch, scene.session, scene.view, scene.policy, {scene.outstanding, 0, &fence}, scene.now);
  };
  const auto probe = [&](std::uint64_t lsn, TimePoint at) {
    (void)fence.Join();
    fence.ProbeSent(at);
    fence.OnProbe({lsn}, at);
  };
  SECTION("nothing can be proved: the primary") {
    CHECK(decide().reason == Reason::kNoEligibleReplica);
    fence.OpenEpoch(epoch, 1U << 24U);
    CHECK(decide().target == Target::kPrimary);
    scene.batch.needs_fence = false;  // SELECT 1
    CHECK(decide().target == Target::kReplica);
    CHECK(decide().fence == FencePlan::kNone);
  }
  fence.OpenEpoch(epoch, 1U << 24U);
  fence.OpenReplica(2, {1000});
  SECTION("only a replica that can be asked is taken") {
    CHECK(decide().server == 2);
    CHECK(decide().fence == FencePlan::kProbeFirst);
  }
  SECTION("all is quiet: read at once, hold the answer") {
    probe(1000, scene.now - seconds(1));
    CHECK(decide().fence == FencePlan::kOptimistic);
    SECTION("but not what must not run twice") {
      scene.batch.repeatable = false;
      CHECK(decide().fence == FencePlan::kProbeFirst);
    }
    SECTION("nor in a block") {
      scene.batch.begins_read_only = true;
      CHECK(decide().fence == FencePlan::kProbeFirst);
      scene.batch.begins_read_only = false;
      scene.session.opens = SessionFacts::Opens::kReadOnly;
      CHECK(decide().fence == FencePlan::kProbeFirst);
    }
    SECTION("nor where the replica is behind") {
      probe(2000, scene.now - seconds(1));
      CHECK(decide().fence == FencePlan::kProbeFirst);
    }
    SECTION("nor when something was written just now") {
      fence.OnReplay(2, {2000}, scene.now, scene.now);
      probe(2000, scene.now);
      CHECK(decide().fence == FencePlan::kProbeFirst);
    }
    SECTION("the primary has its share of them, if it is to have one") {
      scene.outstanding = {0, 1, 1};
      CHECK(decide().target == Target::kReplica);
      scene.policy.read_from_primary = ReadFromPrimary::kAlways;
      CHECK(decide().reason == Reason::kPrimaryShare);
    }
    SECTION("the replica that is there goes before the less busy one that is not") {
      fence.OpenReplica(1, {900});
      scene.outstanding = {0, 0, 5};
      CHECK(decide().server == 2);
    }
  }
  SECTION("a connection that is held") {
    scene.session.holds_connection = true;
    CHECK(decide().fence == FencePlan::kNone);
    scene.session.held_by_replica = true;
    CHECK(decide().fence == FencePlan::kProbeFirst);
    CHECK(decide().target == Target::kHeld);
    scene.session.snapshot_taken = true;
    CHECK(decide().fence == FencePlan::kNone);
    scene.session.snapshot_taken = false;
    scene.batch.needs_fence = false;  // COMMIT, FETCH
    CHECK(decide().fence == FencePlan::kNone);
  }
  SECTION("eventual asks for no proof") {
    scene.policy.consistency = Consistency::kEventual;
    CHECK(decide().fence == FencePlan::kNone);
  }
  SECTION("bounded by time") {
    scene.policy.consistency = Consistency::kBounded;
    scene.policy.max_lag = milliseconds(100);
    CHECK(decide().fence == FencePlan::kProbeFirst);
    scene.replica(1).fresh_as_of = scene.now - milliseconds(101);
    CHECK(decide().fence == FencePlan::kProbeFirst);
    scene.replica(1).fresh_as_of = scene.now - milliseconds(100);
    CHECK(decide().fence == FencePlan::kNone);
    CHECK(decide().server == 1);
    scene.replica(1).fresh_as_of = {};
    probe(1000, scene.now - milliseconds(50));
    CHECK(decide().fence == FencePlan::kNone);
    CHECK(decide().server == 2);
  }
  SECTION("bounded by bytes") {
    scene.policy.consistency = Consistency::kBounded;
    scene.policy.max_lag = milliseconds(0);
    scene.policy.max_lag_bytes = 500;
    scene.view.servers[0].insert_lsn = {1500};
    scene.replica(2).replay_lsn = {1000};
    CHECK(decide().fence == FencePlan::kNone);
    CHECK(decide().server == 2);
    probe(1501, scene.now);
    CHECK(decide().fence == FencePlan::kProbeFirst);
    fence.OnReplay(2, {1001}, scene.now, scene.now);
    CHECK(decide().fence == FencePlan::kNone);
  }
}

TEST_CASE("which reads settle before they run on the primary", "[routing][decide][settle]") {
  Scene scene;
  Fence fence;
  fence.OpenEpoch({7, 1, 100}, 1U << 24U);
  fence.OpenReplica(2, {1000});
  const auto settles = [&] {
    return Decide(scene.batch, scene.session, scene.view, scene.policy, {scene.outstanding, 0, &fence}, scene.now).settles;
  };
  CHECK(settles());  // should it not run on the replica after all
  SECTION("what the catalogue does not understand, if it is a read by its form") {
    scene.batch.cls = Class::kWrite;
    scene.batch.why = GENERATE(Reason::kNoCatalog, Reason::kVolatileFunction, Reason::kUnknownRelation);
    CHECK(settles());
    scene.batch.reads_by_form = false;
    CHECK_FALSE(settles());
  }
  SECTION("not what sees nothing that changes") {
    scene.batch.needs_fence = false;
    CHECK_FALSE(settles());
  }
  SECTION("the first statement of a block") {
    scene.session.opens = GENERATE(SessionFacts::Opens::kReadOnly, SessionFacts::Opens::kReadWrite);
    CHECK(settles());
  }
  SECTION("on a connection that the session holds, if it is the primary's") {
    scene.session.holds_connection = true;
    CHECK(settles());
    scene.session.held_by_replica = true;
    CHECK_FALSE(settles());
  }
  SECTION("strict alone") {
    scene.policy.consistency = GENERATE(Consistency::kBounded, Consistency::kEventual, Consistency::kPrimary);
    CHECK_FALSE(settles());
  }
  SECTION("not where replicas are not to be read from") {
    scene.policy.read_from = ReadFrom::kNone;
    CHECK_FALSE(settles());
  }
  SECTION("not where none is of those to read from") {
    for (auto& server : scene.view.servers) server.sync_state = SyncState::kAsync;
    scene.policy.read_from = ReadFrom::kStreaming;
    CHECK(settles());
    scene.policy.read_from = ReadFrom::kSynchronous;
    CHECK_FALSE(settles());
  }
  SECTION("not where there is nobody to ask") {
    SECTION("no primary") { fence.CloseEpoch(); }
    SECTION("no replica") { fence.CloseReplica(2); }
    CHECK_FALSE(settles());
  }
}

TEST_CASE("every target and reason has a name of its own", "[routing][decide]") {
  std::set<std::string_view> names;
  for (int i = 0; i < int(Target::kCount); ++i) names.insert(TargetName(Target(i)));
  CHECK(names.size() == std::size_t(Target::kCount));
  names.clear();
  for (int i = 0; i < int(Reason::kCount); ++i) names.insert(ReasonName(Reason(i)));
  CHECK(names.size() == std::size_t(Reason::kCount));
}

TEST_CASE("shadow mode decides as if there were a replica to read from", "[routing][decide]") {
  RoutingPolicy policy;
  policy.read_from = ReadFrom::kNone;
  BatchFacts read;
  read.cls = Class::kRead;
  read.why = Reason::kReadSafe;
  SessionFacts session;
  CHECK(DecideAsIfReplicas(read, session, policy).target == Target::kReplica);
  CHECK(DecideAsIfReplicas(read, session, policy).reason == Reason::kReadSafe);
  BatchFacts write;
  write.why = Reason::kWrite;
  CHECK(DecideAsIfReplicas(write, session, policy).target == Target::kPrimary);
  CHECK(DecideAsIfReplicas(write, session, policy).reason == Reason::kWrite);
  session.holds_connection = true;
  session.holds_why = Reason::kInTransaction;
  CHECK(DecideAsIfReplicas(read, session, policy).target == Target::kPrimary);
  CHECK(DecideAsIfReplicas(read, session, policy).reason == Reason::kInTransaction);
  session.holds_why = Reason::kReadOnlyTransaction;
  CHECK(DecideAsIfReplicas(read, session, policy).target == Target::kReplica);
}

}  // namespace waypost
