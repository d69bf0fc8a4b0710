#include "routing/health.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "routing/standby_names.h"

namespace waypost {
namespace {

constexpr milliseconds kInterval{250};

// A primary p0 and two standbys s1 and s2, all well; one round of probes a Tick().
struct Cluster {
  std::vector<ServerProbe> servers = std::vector<ServerProbe>(3);
  ClusterHealth health;
  TimePoint now{seconds(1000)};

  Cluster() {
    for (std::size_t i = 0; i < servers.size(); ++i) {
      servers[i].name = "pg" + std::to_string(i);
      servers[i].up = true;
      ServerSample& sample = servers[i].sample.emplace();
      sample.system_identifier = 7;
      sample.timeline = 1;
      sample.started_us = 100;
      if (i == 0) continue;
      servers[i].sample->role = ReplicaSample{{1000}, {1000}, true, "s" + std::to_string(i)};
    }
    PrimarySample sample;
    sample.insert_lsn = sample.flush_lsn = {1000};
    sample.synchronous_standby_names = "FIRST 2 (s1, s2)";
    sample.synchronous_commit = "remote_apply";
    sample.synchronous_commit_source = "configuration file";
    for (int i = 1; i <= 2; ++i) {
      ReplicationRow row;
      row.application_name = "s" + std::to_string(i);
      row.pid = 40 + i;
      row.state = "streaming";
      row.sync_state = SyncState::kSync;
      row.replay_lsn = {1000};
      sample.standbys.push_back(row);
    }
    servers[0].sample->role = sample;
  }

  PrimarySample& primary() { return std::get<PrimarySample>(servers[0].sample->role); }
  ReplicaSample& replica(std::size_t i) { return std::get<ReplicaSample>(servers[i].sample->role); }
  void Promote(std::size_t i, std::uint32_t timeline) {
    servers[i].sample->role = PrimarySample{};
    servers[i].sample->timeline = timeline;
  }
  ClusterView Tick() {
    now += kInterval;
    for (ServerProbe& server : servers)
      if (server.up && server.sample) server.sample->sent = now;
    return health.Judge(servers, kInterval);
  }
};

std::string Why(const ClusterView& view, ServerId id) { return view.servers[id].ineligible_why; }

}  // namespace

TEST_CASE("synchronous standbys that stream are eligible", "[routing][health]") {
  Cluster cluster;
  const auto first = cluster.Tick();
  CHECK(first.primary == ServerId{0});
  CHECK(first.sync_guarantee);
  CHECK(first.servers[1].eligible);
  CHECK(first.servers[2].eligible);
  CHECK(first.servers[1].sync_guarantee);
  CHECK(first.servers[1].role == Role::kReplica);
  CHECK(first.servers[0].role == Role::kPrimary);
  CHECK_FALSE(first.servers[0].eligible);
  CHECK(first.servers[1].streaming);
  CHECK(first.servers[1].readable);
  CHECK(first.servers[1].sync_state == SyncState::kSync);
  CHECK(first.servers[1].started_us == 100);
  CHECK(cluster.Tick().version == first.version + 1);
}

TEST_CASE("a replica is as fresh as the last position of the primary that it has replayed", "[routing][health]") {
  Cluster cluster;
  const auto first = cluster.Tick();
  const auto start = cluster.now;
  CHECK(first.servers[1].fresh_as_of == start);
  SECTION("which stays fresh while nothing is written") {
    cluster.servers[1].sample->sent = {};
    CHECK(cluster.Tick().servers[1].fresh_as_of == cluster.now);
  }
  SECTION("and ages while it does not follow, also if the primary's own figures stand still") {
    cluster.primary().insert_lsn = {2000};
    CHECK(cluster.Tick().servers[1].fresh_as_of == start);
    cluster.primary().insert_lsn = {3000};
    CHECK(cluster.Tick().servers[1].fresh_as_of == start);
    cluster.replica(1).replay_lsn = {2500};
    CHECK(cluster.Tick().servers[1].fresh_as_of == start + kInterval);
    cluster.replica(1).replay_lsn = {3000};
    CHECK(cluster.Tick().servers[1].fresh_as_of == cluster.now);
  }
  SECTION("without a primary nothing makes it fresher, and it may still be read from") {
    cluster.servers[0].up = false;
    const auto view = cluster.Tick();
    CHECK(view.servers[1].fresh_as_of == start);
    CHECK(view.servers[1].readable);
    CHECK(view.servers[1].sync_state == SyncState::kSync);
    CHECK_FALSE(view.servers[1].streaming);
  }
  SECTION("also if its receiver went first") {
    cluster.replica(1).receiving = false;
    cluster.primary().standbys.erase(cluster.primary().standbys.begin());
    CHECK_FALSE(cluster.Tick().servers[1].readable);
    cluster.servers[0].up = false;
    const auto view = cluster.Tick();
    CHECK(view.servers[1].readable);
    CHECK(view.servers[1].sync_state == SyncState::kSync);
  }
  SECTION("after a restart it may be further back") {
    cluster.servers[1].sample->started_us = 200;
    cluster.replica(1).replay_lsn = {900};
    CHECK(cluster.Tick().servers[1].fresh_as_of == TimePoint{});
  }
  SECTION("one that does not stream is not taken to be of this timeline") {
    cluster.replica(1).receiving = false;
    CHECK(cluster.Tick().servers[1].fresh_as_of == start);
    CHECK_FALSE(cluster.Tick().servers[1].readable);
  }
}

TEST_CASE("what the guarantee needs, and why it is off", "[routing][health]") {
  Cluster cluster;
  REQUIRE(cluster.Tick().servers[1].eligible);
  std::string why;
  SECTION("no synchronous replication") {
    cluster.primary().synchronous_standby_names = "";
    why = "synchronous_standby_names is empty";
  }
  SECTION("not understood") {
    cluster.primary().synchronous_standby_names = "FIRST (s1";
    why = "Waypost does not understand synchronous_standby_names";
  }
  SECTION("flushed is not applied") {
    cluster.primary().synchronous_commit = "on";
    why = "synchronous_commit is on, not remote_apply";
  }
  SECTION("a role lowers it") {
    cluster.primary().lowered_by = {"role reports (off)"};
    why = "synchronous_commit is lowered by role reports (off)";
  }
  SECTION("only the monitor sees remote_apply") {
    cluster.primary().synchronous_commit_source = "user";
    why =
        "synchronous_commit is set for the monitor's own role or database, which hides the "
        "server's own value";
  }
  SECTION("another standby may stand in") {
    cluster.primary().synchronous_standby_names =
        GENERATE(as<std::string>{}, "FIRST 1 (s1, s2)", "s1, s2", "ANY 1 (s1, s2)", "*", "FIRST 2 (*)", "2 (s1, s2, s3)");
    why = "synchronous_standby_names lets a commit return before every standby that it names has confirmed it";
  }
  const auto view = cluster.Tick();
  CHECK_FALSE(view.sync_guarantee);
  CHECK(view.sync_guarantee_why == why);
  CHECK_FALSE(view.servers[1].sync_guarantee);
  CHECK(view.servers[1].eligible);  // the fence proves what this does not
  CHECK(view.servers[1].streaming);
}

TEST_CASE("commits that wait for a standby that is not there are told of", "[routing][health]") {
  Cluster cluster;
  CHECK(cluster.Tick().commits_wait_why.empty());
  cluster.primary().standbys[1].state = "catchup";
  CHECK(cluster.Tick().commits_wait_why ==
        "commits wait: synchronous_standby_names = 'FIRST 2 (s1, s2)' asks for 2 standbys, and 1 streams");
  SECTION("fewer are asked for") { cluster.primary().synchronous_standby_names = "ANY 1 (s1, s2)"; }
  SECTION("another one takes its place") {
    cluster.primary().synchronous_standby_names = "FIRST 2 (*)";
    cluster.primary().standbys.push_back(cluster.primary().standbys[0]);
    cluster.primary().standbys.back().application_name = "elsewhere";
  }
  SECTION("none is asked for") { cluster.primary().synchronous_standby_names = ""; }
  SECTION("nobody waits") { cluster.primary().synchronous_commit = "local"; }
  SECTION("nobody may look") { cluster.servers[0].sample->statistics_visible = false; }
  SECTION("no primary is known") { cluster.servers[0].up = false; }
  CHECK(cluster.Tick().commits_wait_why.empty());
}

TEST_CASE("a quorum of all is as good as a list of all", "[routing][health]") {
  Cluster cluster;
  cluster.primary().synchronous_standby_names = "ANY 2 (s1, s2)";
  for (auto& row : cluster.primary().standbys) row.sync_state = SyncState::kQuorum;
  const auto view = cluster.Tick();
  CHECK(view.servers[1].eligible);
  CHECK(view.servers[1].sync_state == SyncState::kQuorum);
}

TEST_CASE("a replica says why it is not eligible", "[routing][health]") {
  Cluster cluster;
  REQUIRE(cluster.Tick().servers[1].eligible);
  std::string why;
  SECTION("no receiver") {
    cluster.replica(1).receiving = false;
    why = "not streaming: its WAL receiver is not connected";
  }
  SECTION("unseen") {
    cluster.servers[1].sample->statistics_visible = false;
    why = "the monitor's role may not see the replication state: GRANT pg_monitor to it";
  }
  SECTION("another timeline") {
    cluster.Promote(0, 2);
    cluster.primary() = Cluster{}.primary();
    why = "on timeline 1, the primary is on 2";
  }
  SECTION("another cluster") {
    cluster.servers[1].sample->system_identifier = 8;
    why = "it belongs to another cluster than the primary";
  }
  SECTION("unknown to the primary") {
    cluster.primary().standbys.erase(cluster.primary().standbys.begin());
    why = "the primary lists no standby called \"s1\"";
  }
  SECTION("ambiguous") {
    cluster.primary().standbys[1].application_name = "s1";
    why = "2 standbys are called \"s1\": give each its own application_name";
  }
  SECTION("catching up") {
    cluster.primary().standbys[0].state = "catchup";
    why = "the primary lists it as catchup";
  }
  SECTION("potential") {
    cluster.primary().standbys[0].sync_state = SyncState::kPotential;
    why = "its sync_state is potential";
  }
  SECTION("removed") {
    cluster.servers[1].removed = true;
    why = "removed from the configuration";
  }
  SECTION("no primary") {
    cluster.servers[0].up = false;
    why = "no primary is known";
  }
  const auto view = cluster.Tick();
  CHECK(Why(view, 1) == why);
  CHECK_FALSE(view.servers[1].eligible);
}

TEST_CASE("the configured application_name goes before the standby's own", "[routing][health]") {
  Cluster cluster;
  cluster.replica(1).application_name = "walreceiver";
  CHECK(Why(cluster.Tick(), 1) == "the primary lists no standby called \"walreceiver\"");
  cluster.servers[1].application_name = "s1";
  CHECK(cluster.Tick().servers[1].eligible);
}

TEST_CASE("of two primaries the higher timeline wins", "[routing][health]") {
  Cluster cluster;
  REQUIRE(cluster.Tick().primary == ServerId{0});
  cluster.Promote(1, 2);
  cluster.replica(2).receiving = false;
  const auto view = cluster.Tick();
  CHECK(view.primary == ServerId{1});
  CHECK(view.servers[0].role == Role::kUnknown);
  CHECK(view.servers[0].error == "a deposed primary: it is on timeline 1, pg1 is on 2");
  CHECK_FALSE(view.servers[2].eligible);
  SECTION("and the deposed one is refused even alone") {
    cluster.servers[1].up = false;
    const auto later = cluster.Tick();
    CHECK_FALSE(later.primary);
    CHECK(later.servers[0].error == "a deposed primary: it is on timeline 1, and timeline 2 was seen before");
  }
}

TEST_CASE("a primary is not believed while a standby follows a higher timeline", "[routing][health]") {
  Cluster cluster;
  cluster.servers[2].sample->timeline = 3;
  const auto view = cluster.Tick();
  CHECK_FALSE(view.primary);
  CHECK(view.servers[0].error == "a deposed primary: it is on timeline 1, pg2 is on 3");
}

TEST_CASE("two primaries on one timeline are both refused", "[routing][health]") {
  Cluster cluster;
  cluster.Promote(1, 1);
  const auto view = cluster.Tick();
  CHECK_FALSE(view.primary);
  CHECK(view.servers[0].error == "two primaries: pg1 is on the same timeline 1");
  CHECK(view.servers[1].error == "two primaries: pg0 is on the same timeline 1");
  CHECK(view.sync_guarantee_why == "no primary is known");
}

TEST_CASE("primaries of two clusters: neither, or the one that was known first", "[routing][health]") {
  Cluster cluster;
  const bool known = GENERATE(false, true);
  if (known) REQUIRE(cluster.Tick().primary == ServerId{0});
  cluster.Promote(1, 9);
  cluster.servers[1].sample->system_identifier = 8;
  const auto view = cluster.Tick();
  CHECK(view.primary == (known ? std::optional<ServerId>(0) : std::nullopt));
  CHECK(view.servers[1].error ==
        (known ? "a primary of another cluster: its system identifier is 8, and that of the primary accepted before is 7; "
                 "\"waypost accept\" overrides this"
               : "two primaries of different clusters: pg0 has another system identifier"));
}

TEST_CASE("without any answer there is no primary and nothing breaks", "[routing][health]") {
  ClusterHealth health;
  CHECK_FALSE(health.Judge({}, kInterval).primary);
  std::vector<ServerProbe> servers(2);
  const auto view = health.Judge(servers, kInterval);
  CHECK_FALSE(view.primary);
  CHECK(view.servers.size() == 2);
}

TEST_CASE("a sample is good for two intervals, the primary's as well", "[routing][health]") {
  Cluster cluster;
  cluster.Tick();
  auto view = cluster.Tick();
  CHECK(FreshEnough(view.servers[1], view, cluster.now + 2 * kInterval));
  CHECK_FALSE(FreshEnough(view.servers[1], view, cluster.now + 2 * kInterval + milliseconds(1)));
  cluster.servers[1].sample->sent += kInterval;
  view = cluster.health.Judge(cluster.servers, kInterval);
  CHECK(view.servers[1].sampled == cluster.now);
}

TEST_CASE("synchronous_standby_names is read as PostgreSQL reads it", "[routing][health]") {
  using Names = std::vector<std::string>;
  const auto [text, quorum, count, names, all] = GENERATE(table<std::string, bool, unsigned, Names, bool>({
      {"", false, 0, {}, false},
      {"  ", false, 0, {}, false},
      {"s1", false, 1, {"s1"}, true},
      {"s1,s2", false, 1, {"s1", "s2"}, false},
      {"*", false, 1, {"*"}, false},
      {"FIRST 2 (s1, s2)", false, 2, {"s1", "s2"}, true},
      {"first 3(s1,s2)", false, 3, {"s1", "s2"}, true},
      {"2 (s1, s2)", false, 2, {"s1", "s2"}, true},
      {"2 ( s1 , \"S \"\"x\"\"\" )", false, 2, {"s1", "S \"x\""}, true},
      {"ANY 1 (s1, s2, s3)", true, 1, {"s1", "s2", "s3"}, false},
      {"any 3 (s1, s2, s3)", true, 3, {"s1", "s2", "s3"}, true},
      {"1, 2", false, 1, {"1", "2"}, false},
      {"2 (1, 2)", false, 2, {"1", "2"}, true},
  }));
  CAPTURE(text);
  const auto parsed = ParseStandbyNames(text);
  REQUIRE(parsed);
  CHECK(parsed->quorum == quorum);
  CHECK(parsed->count == count);
  CHECK(parsed->names == names);
  CHECK(parsed->AllConfirm() == all);
}

TEST_CASE("what PostgreSQL would refuse as synchronous_standby_names is refused", "[routing][health]") {
  const auto text = GENERATE(as<std::string>{}, "FIRST", "FIRST 2", "FIRST 2 (", "FIRST 2 ()", "FIRST (s1)", "FIRST 0 (s1)",
                             "ANY x (s1)", "s1,", ",s1", "s1 s2", "2 (s1) s2", "\"s1", "\"\"", "s-1", "99999999999 (a)");
  CAPTURE(text);
  CHECK_FALSE(ParseStandbyNames(text));
}

TEST_CASE("standby names are compared without regard to case", "[routing][health]") {
  CHECK(ParseStandbyNames("FIRST 1 (Alpha)")->Lists("alpha"));
  CHECK_FALSE(ParseStandbyNames("FIRST 1 (Alpha)")->Lists("beta"));
  CHECK(ParseStandbyNames("*")->Lists("beta"));
}

TEST_CASE("a standby's name is found among the options of every major", "[routing][health]") {
  const auto [conninfo, name] = GENERATE(table<const char*, const char*>({
      // as PostgreSQL 13, 15, 16 and 18 list them
      {"user=postgres password=******** channel_binding=prefer dbname=replication host=127.0.0.1 port=5432 "
       "application_name=pg1 fallback_application_name=walreceiver sslmode=prefer sslcompression=0 "
       "ssl_min_protocol_version=TLSv1.2 gssencmode=disable krbsrvname=postgres target_session_attrs=any",
       "pg1"},
      {"user=postgres dbname=replication host=/tmp port=5432 fallback_application_name=walreceiver sslmode=prefer "
       "sslcompression=0 sslsni=1 ssl_min_protocol_version=TLSv1.2 target_session_attrs=any",
       "walreceiver"},
      {"user=postgres host=pg0 application_name=pg1 fallback_application_name=c1 sslcertmode=allow sslsni=1 "
       "gssdelegation=0 target_session_attrs=any load_balance_hosts=disable",
       "pg1"},
      {"host=pg0 application_name=pg1 fallback_application_name=c1 sslnegotiation=postgres min_protocol_version=3.2 "
       "max_protocol_version=latest an_option_of_2040=x",
       "pg1"},
      {"host=pg0 fallback_application_name=my cluster load_balance_hosts=disable", "my cluster"},
      {"host=pg0 application_name=the second one fallback_application_name=c1 sslsni=1", "the second one"},
      {"host=pg0 application_name=a=b c=d fallback_application_name=c1 sslsni=1", "a=b c=d"},
      {"options=-c application_name=x application_name=pg1 fallback_application_name=c1", "pg1"},
      {"application_name=pg1", "pg1"},
      {"application_name=pg1 host=pg0", "pg1"},
      {"fallback_application_name=pg1", "pg1"},
      {"my_application_name=pg1 host=pg0", ""},
      {"host=pg0", ""},
      {"", ""},
  }));
  CAPTURE(conninfo);
  CHECK(StandbyNameIn(conninfo) == name);
}

TEST_CASE("a standby's name is cut as its primary cuts it", "[routing][health]") {
  CHECK(StandbyNameIn("application_name=" + std::string(80, 'x')) == std::string(63, 'x'));
}

TEST_CASE("who holds up the replay is known as of when it was seen", "[routing][health]") {
  Cluster cluster;
  cluster.replica(1).held_up_by = {71, 72};
  const auto view = cluster.Tick();
  CHECK(HeldUpBy(view.servers[1], 71, cluster.now));
  CHECK(HeldUpBy(view.servers[1], 72, cluster.now - kInterval));
  CHECK_FALSE(HeldUpBy(view.servers[1], 73, cluster.now));
  CHECK_FALSE(HeldUpBy(view.servers[1], 71, cluster.now + milliseconds(1)));  // it may have been another transaction
  CHECK_FALSE(HeldUpBy(view.servers[2], 71, cluster.now));
  cluster.replica(1).held_up_by.clear();
  CHECK_FALSE(HeldUpBy(cluster.Tick().servers[1], 71, TimePoint{}));
}

}  // namespace waypost
