#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "core/cli/address.h"
#include "core/cli/event_stream.h"
#include "core/cli/http.h"
#include "core/cli/render.h"
#include "core/cli/text_table.h"

namespace waypost {
namespace {

std::vector<std::string> WaysIn(const std::string& text) {
  const auto ways = AdminPortIn(text, "/etc/w/waypost.toml");
  if (!ways) return {ways.error()};
  std::vector<std::string> texts;
  for (const auto& way : *ways) texts.push_back(AddressText(way));
  return texts;
}

}  // namespace

TEST_CASE("a table: aligned, numbers to the right, nothing of a client's steers the terminal") {
  TextTable table({"NAME", "CALLS", "NOTE"});
  table.Add({"ä", "7", "\x1B[2Jevil\n"});
  table.Add({"longer", "1234", ""});
  CHECK(table.Text() ==
        "NAME    CALLS  NOTE\n"
        "ä           7   [2Jevil\n"
        "longer   1234  -\n");
  CHECK(TextTable({"A", "B"}).Text() == "A  B\n");
  CHECK(Harmless("a\xC2\x9B"
                 "b\x7F"
                 "c\xC3\xA4") == "a b c\xC3\xA4");
  CHECK(Shortened("äöüäöü", 6) == "äöüäöü");
  CHECK(Shortened("äöüäöüä", 6) == "äöü...");
  CHECK(Shortened("abcdef", 2) == "...");
}

TEST_CASE("ages") {
  using std::chrono::seconds;
  CHECK(RenderAge(seconds(0)) == "0 s");
  CHECK(RenderAge(seconds(119)) == "119 s");
  CHECK(RenderAge(seconds(120)) == "2 min");
  CHECK(RenderAge(seconds(7200)) == "2 h");
  CHECK(RenderAge(seconds(200'000)) == "2 d");
}

TEST_CASE("servers: why one is not read from, by what read_from is in force") {
  const std::string servers = R"({"servers": [
    {"name": "pg0", "role": "primary", "up": true, "intent": "active", "weight": 1, "draining": null, "error": null, "eligible": false,
     "connections": {"busy": 2, "idle": 3, "max": 100, "waiting_sessions": 0}},
    {"name": "pg1", "role": "replica", "up": true, "intent": "drain", "weight": 1, "draining": {"left": 4, "deadline": null}, "error": null,
     "eligible": true, "lag_ms": 1.5, "connections": {"busy": 4, "idle": 0, "max": 100, "waiting_sessions": 0},
     "why_not": {"synchronous": {"strict": "its sync_state is async"}, "streaming": {"strict": null}}},
    {"name": "pg2", "role": "unknown", "up": false, "error": "connection refused"}]})";
  CHECK(RenderServers(servers, R"({"read_from": "synchronous"})") ==
        "SERVER  ROLE     UP   INTENT         WEIGHT      LAG  BUSY/IDLE/MAX  WAITING  READS  WHY NOT\n"
        "pg0     primary  yes  active              1        -        2/3/100        0  -      -\n"
        "pg1     replica  yes  drain, 4 left       1  1.50 ms        4/0/100        0  no     its sync_state is async\n"
        "pg2     unknown  no   -                   -        -              -        -  no     connection refused\n");
  const auto found =
      R"({"servers": [{"name": "pg3", "role": "replica", "up": true, "found_by": "patroni", "intent": "active"}]})";
  CHECK(RenderServers(found, R"({"discovery": {"source": "patroni"}})").find("pg3     replica  yes  patroni   active") !=
        std::string::npos);
  CHECK(RenderServers(servers, R"({"read_from": "streaming"})").find("0  yes    -") != std::string::npos);
  CHECK(RenderServers(servers, R"({"read_from": "none"})").find("read_from = \"none\"") != std::string::npos);
}

TEST_CASE("status: what is wrong stands at its end") {
  const auto text =
      RenderStatus(R"({"version": "0.1.0", "ready": false, "draining": false, "uptime_seconds": 7300.5, "read_from": "streaming",
    "clients": {"max": 10, "active": 1, "idle_in_transaction": 2, "waiting": 0}, "queries_total": 5, "held_statements": 1, "primary": null,
    "replicas": 2, "replicas_eligible": 1, "config": {"path": "/w.toml", "last_reload_ok": false}, "accepted": {"timeline": 3},
    "warnings": ["no primary is known"]})",
                   R"({"paused": {"what": "writes", "until": "2026-01-02T03:04:05.000Z"}})");
  CHECK(text ==
        "waypost:   0.1.0, up 2 h, not ready\n"
        "primary:   none, timeline 3\n"
        "replicas:  2, of which 1 can be read from; read_from = streaming\n"
        "clients:   1 active, 2 idle in transaction; at most 10\n"
        "batches:   5, held now: 1\n"
        "paused:    writes, until 2026-01-02T03:04:05.000Z\n"
        "config:    /w.toml, the last reload failed\n"
        "warning:   no primary is known\n");
}

TEST_CASE("sessions: how long, which tie, how many more there are") {
  const auto now = std::chrono::system_clock::from_time_t(1'767'323'105);  // 2026-01-02T03:05:05Z
  const std::string sessions =
      R"({"total": 3, "workers_missing": 1, "sessions": [{"id": "0-7", "user": "ann", "database": "d", "application_name": "",
    "client": "127.0.0.1:5", "state": "active", "state_since": "2026-01-02T03:04:05.123Z", "server": "pg1", "pin": "listen", "target": "replica",
    "statement": "SELECT count(*) FROM a_table_with_a_long_name WHERE another_name = $1 AND b = $2"}]})";
  CHECK(RenderSessions(sessions, now, false) ==
        "ID   USER  DATABASE  APPLICATION  CLIENT       STATE    FOR  SERVER  TIE     TARGET   STATEMENT\n"
        "0-7  ann   d         -            127.0.0.1:5  active  60 s  pg1     listen  replica  "
        "SELECT count(*) FROM a_table_with_a_long_name WHERE anoth...\n"
        "1 of 3 sessions; --limit and --offset show others.\n"
        "Workers that did not answer in time, and whose part is missing: 1\n");
  CHECK(RenderSessions(sessions, now, true).find("b = $2\n") != std::string::npos);
}

TEST_CASE("pools and digests") {
  CHECK(RenderPools(
            R"({"pools": [{"worker": 0, "server": "pg0", "user": "a", "database": "d", "role": "primary", "idle": 1, "busy": 2,
    "connecting": 0, "waiting": 3, "max": null, "longest_wait_s": 0.25}]})") ==
        "WORKER  SERVER  ROLE     USER  DATABASE  BUSY  IDLE  CONNECTING  MAX  WAITING  LONGEST WAIT\n"
        "     0  pg0     primary  a     d            2     1           0  -          3        250 ms\n");
  CHECK(RenderDigests(
            R"({"digests": [{"calls": 12, "total_ms": 24.5, "mean_ms": 2.0417, "on_primary": 0, "on_replica": 12, "errors": 0,
    "database": "d", "user": "a", "class": "read", "verdict": "read", "text": "SELECT\n  $1"}]})",
            false) ==
        "CALLS   TIME     MEAN  PRIMARY  REPLICA  ERRORS  DATABASE  USER  CLASS  VERDICT  STATEMENT\n"
        "   12  24 ms  2.04 ms        0       12       0  d         a     read   read     SELECT   $1\n");
}

TEST_CASE("events: a line each") {
  const std::string event =
      R"({"id": 4, "time": "2026-01-02T03:04:05.678Z", "kind": "server_down", "level": "warning", "text": "pg1: refused", "server": "pg1"})";
  const std::string line = "2026-01-02 03:04:05  warning  server_down: pg1: refused";
  CHECK(RenderEvent(event) == line);
  CHECK(RenderEvents(R"({"events": [)" + event + "]}") == line + "\n");
}

TEST_CASE("what a change has led to") {
  CHECK(RenderIntent(R"({"name": "pg1", "intent": "drain", "draining": {"left": 2, "deadline": "2026-01-02T03:04:05.000Z"}})") ==
        "pg1: drain, 2 left, at most until 2026-01-02T03:04:05.000Z\n");
  CHECK(RenderIntent(R"({"name": "pg1", "intent": "active", "draining": null})") == "pg1: active\n");
  CHECK(RenderPause(R"({"paused": null})") == "not paused\n");
  CHECK(RenderPause(R"({"paused": {"what": "all", "until": "2026-01-02T03:04:05.000Z"}, "held_statements": 3})") ==
        "paused: all, until 2026-01-02T03:04:05.000Z; held now: 3\n");
  const std::string running = R"({"paused": {"what": "writes", "until": "x", "running": 2, "tied": 1}})";
  CHECK(RenderPause(running) == "paused: writes, until x; held now: 0, still running: 2\n");
  CHECK(LeftOf(running).paused);
  CHECK(LeftOf(running).running == 2);
  CHECK(LeftOf(running).tied == 1);
  CHECK_FALSE(LeftOf(R"({"paused": {"running": null, "tied": null}})").running);
  CHECK_FALSE(LeftOf(R"({"paused": {"running": null, "tied": null}})").tied);
  CHECK_FALSE(LeftOf(R"({"paused": null})").paused);
  CHECK_FALSE(LeftOf("nonsense").paused);
  CHECK(RenderReload(R"({"changed": [], "restart_needed": [], "applied": true})") == "nothing has changed\n");
  const std::string changed =
      R"({"changed": [{"key": "pool.max_size", "before": 5, "after": 10}, {"key": "workers", "before": null, "after": "x"}],
    "restart_needed": ["workers"], "applied": )";
  CHECK(RenderReload(changed + "true}") ==
        "KEY            BEFORE  AFTER  IN FORCE\n"
        "pool.max_size  5       10     now\n"
        "workers        null    \"x\"    after a restart\n");
  CHECK(RenderReload(changed + "false}").find("with a reload") != std::string::npos);
}

TEST_CASE("how many connections a drain waits for") {
  const std::string servers = R"({"servers": [{"name": "a", "draining": {"left": 3}}, {"name": "b", "draining": null}, 7]})";
  CHECK(ConnectionsLeft(servers, "a") == 3U);
  CHECK_FALSE(ConnectionsLeft(servers, "b"));
  CHECK_FALSE(ConnectionsLeft(servers, "c"));
  CHECK_FALSE(ConnectionsLeft("", "a"));
  CHECK_FALSE(ConnectionsLeft(R"({"servers": [{"name": "a", "draining": {"left": -1}}]})", "a"));
}

TEST_CASE("server-sent events, however they are cut") {
  const std::string sent = ":\n\nid: 1\nevent: x\ndata: {\"a\"\ndata: :1}\n\nid: 2\r\ndata:two\r\n\r\nid: 3\ndata: unfinished\n";
  for (std::size_t size = 1; size <= sent.size(); ++size) {
    EventStream stream;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < sent.size(); at += size)
      for (auto& event : stream.Take(std::string_view(sent).substr(at, size))) got.push_back(event);
    CHECK(got == std::vector<std::string>{"{\"a\"\n:1}", "two"});
  }
  EventStream stream;
  CHECK(stream.Take("data: " + std::string(3U << 20U, 'x')).empty());
}

TEST_CASE("problems: line by line, and what is not one") {
  CHECK(RenderProblem(422, R"({"title": "The configuration is wrong", "detail": "f:1: a\nf:2: b\u001b[0m"})") ==
        "The configuration is wrong: f:1: a\nf:2: b [0m");
  CHECK(RenderProblem(404, R"({"title": "Not found"})") == "Not found");
  CHECK(RenderProblem(502, "<html>") == "status 502: <html>");
  CHECK(RenderProblem(500, "") == "status 500");
}

TEST_CASE("an answer of another kind is no harm") {
  const auto now = std::chrono::system_clock::now();
  for (const std::string wrong : {"", "[]", "7", "{", "null", "\"x\""}) {
    CHECK_FALSE(IsAnswer(wrong));
    CHECK(RenderStatus(wrong, wrong).empty());
    CHECK(RenderServers(wrong, wrong).empty());
    CHECK(RenderSessions(wrong, now, false).empty());
    CHECK(RenderPools(wrong).empty());
    CHECK(RenderDigests(wrong, false).empty());
    CHECK(RenderEvents(wrong).empty());
    CHECK(RenderMembers(wrong).empty());
    CHECK_NOTHROW(RenderIntent(wrong) + RenderPause(wrong) + RenderReload(wrong));
  }
  for (const std::string odd :
       {"{}", R"({"servers": 1, "sessions": {}, "pools": null, "digests": "x", "events": true, "config": [], "clients": 5})",
        R"({"servers": [1, null, {"connections": 7, "lag_ms": "x"}], "sessions": [[]], "pools": ["x"], "digests": [{}],
                                    "events": [9], "uptime_seconds": 1e300, "warnings": [{}]})"}) {
    CHECK(IsAnswer(odd));
    CHECK_FALSE(RenderStatus(odd, odd).empty());
    CHECK_FALSE(RenderServers(odd, odd).empty());
    CHECK_FALSE(RenderSessions(odd, now, false).empty());
    CHECK_FALSE(RenderPools(odd).empty());
    CHECK_FALSE(RenderDigests(odd, false).empty());
    CHECK_NOTHROW(RenderEvents(odd));
    CHECK_NOTHROW(RenderMembers(odd));
    CHECK_NOTHROW(RenderIntent(odd) + RenderPause(odd) + RenderReload(odd));
  }
}

TEST_CASE("where the admin port is: the socket first, and of the rest of the file nothing matters") {
  using Texts = std::vector<std::string>;
  CHECK(WaysIn("") == Texts{"http://127.0.0.1:8432"});
  CHECK(WaysIn("[admin]\nport = 99\naddress = \"10.0.0.1\"\nsocket = \"a.sock\"\n[nonsense]\nx = 1\n") ==
        Texts{"/etc/w/a.sock", "http://10.0.0.1:99"});
  CHECK(WaysIn("[admin]\naddress = \"0.0.0.0\"\nsocket = \"/run/a.sock\"") == Texts{"/run/a.sock", "http://127.0.0.1:8432"});
  CHECK(WaysIn("[admin]\naddress = \"::\"") == Texts{"http://[::1]:8432"});
  CHECK(WaysIn("[admin]\naddress = \"fe80::1\"") == Texts{"http://[fe80::1]:8432"});
  CHECK(WaysIn("[admin]\n\nport = 70000") == Texts{"/etc/w/waypost.toml:3:admin.port: found 70000, expected 1 to 65535"});
  CHECK(WaysIn("[admin")[0].find("not valid TOML") != std::string::npos);
}

TEST_CASE("where the admin port is: what is given on the command line") {
  const auto url = [](const std::string& text) {
    AddressOptions options;
    options.url = text;
    const auto ways = FindAdminPort(options);
    return ways ? ways->front().url : ways.error();
  };
  CHECK(url("http://h:1/") == "http://h:1");
  CHECK(url("https://h") == "https://h");
  for (const std::string wrong : {"h:1", "ftp://h", "http://", "http://h/x", "http://u@h", "http://h?x"})
    CHECK(url(wrong) == "found --url \"" + wrong + "\", expected http://HOST:PORT");
  AddressOptions options;
  options.config = "/no/such/file.toml";
  CHECK(FindAdminPort(options).error() == "/no/such/file.toml: cannot be read: No such file or directory");
  CHECK(FindToken("/no/such/token").error() == "/no/such/token: cannot be read: No such file or directory");
}

TEST_CASE("names in a URL") { CHECK(PercentEncoded("a/b ä?&~0-7") == "a%2Fb%20%C3%A4%3F%26~0-7"); }

}  // namespace waypost
