#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>

#include "core/admin/server.h"
#include "core/observe/explain_route.h"

namespace waypost {
namespace {

std::shared_ptr<ClusterView> MakeView() {
  auto view = std::make_shared<ClusterView>();
  view->servers.resize(2);
  for (std::size_t i = 0; i < 2; ++i) {
    ServerView& server = view->servers[i];
    server.name = "pg" + std::to_string(i);
    server.host = "127.0.0.1";
    server.port = static_cast<std::uint16_t>(15432 + i);
    server.up = true;
    server.sampled = Clock::now();
    server.timeline = 3;
    server.system_identifier = 7711120444355667568;
    server.max_connections = 100;
  }
  view->primary = 0;
  view->servers[0].role = Role::kPrimary;
  view->servers[0].flush_lsn = view->servers[0].insert_lsn = {0x1600000000};
  view->servers[0].ineligible_why = "not a replica";
  view->servers[1].role = Role::kReplica;
  view->servers[1].sync_state = SyncState::kSync;
  view->servers[1].streaming = view->servers[1].eligible = true;
  view->servers[1].replay_lsn = view->servers[1].receive_lsn = {0x15ffffff00};
  view->servers[1].lag_bytes = 0x100;
  view->servers[1].lag_time = std::chrono::microseconds(1500);
  view->sync_guarantee = true;
  return view;
}

struct Fixture {
  std::shared_ptr<ClusterView> view = MakeView();
  RunStatus run;
  DigestReport report;
  FenceReport fence{2, 2, {0x1600000000}, {{}, {{0x15ffffff80}, 2, ""}}};
  std::unique_ptr<WorkerMetrics> metrics = std::make_unique<WorkerMetrics>();

  Fixture() {
    run.accepting = true;
    run.max_clients = 500;
    run.config_path = "/etc/w.toml";
  }
  AdminSources Sources() {
    AdminSources sources;
    sources.view = [this] { return View(view); };
    sources.run = [this] { return run; };
    sources.threads = {metrics.get()};
    sources.route = [](const RouteQuestion& question) {
      RouteAnswer answer;
      answer.target = "primary";
      answer.server = "pg0";
      answer.cls = "write";
      answer.reason = question.database + "|" + question.user;
      answer.path = {question.sql};
      answer.statements = {{"select 1", "write", "write", {"\xff is no UTF-8"}, "listen"}};
      return answer;
    };
    sources.digests = [this] { return report; };
    sources.fence = [this] { return fence; };
    return sources;
  }
  AdminResponse Ask(const std::string& method, const std::string& path, const std::string& body = "",
                    const std::map<std::string, std::string>& query = {}) {
    return AdminApi(Sources()).Handle({method, path, body, query});
  }
  void AddDigest(const char* text, std::uint64_t calls, Duration total) {
    Digest digest;
    digest.text = std::make_shared<const std::string>(text);
    digest.path = std::make_shared<const std::string>(std::string("path of ") + text);
    digest.calls = calls;
    digest.total = total;
    digest.verdict = Reason::kVolatileFunction;
    report.digests.push_back(digest);
  }
};

RouteQuestion AskAbout(const char* sql) {
  RouteQuestion question;
  question.sql = sql;
  return question;
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// True if `answer` holds the head and all of the body that it announces.
bool Complete(const std::string& answer) {
  const auto end = answer.find("\r\n\r\n");
  const auto length = answer.find("Content-Length: ");
  if (end == std::string::npos || length == std::string::npos) return false;
  return answer.size() >= end + 4 + std::stoul(answer.substr(length + 16));
}

// The answer of the server at `port` to `bytes`; what came until then if it closes.
std::string Talk(std::uint16_t port, const std::string& bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) {
    (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; !Complete(answer) && (got = recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
      answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  return answer;
}

}  // namespace

TEST_CASE("ready means a primary, and workers that accept", "[core][admin]") {
  Fixture fixture;
  CHECK(fixture.Ask("GET", "/healthz").status == 200);
  CHECK(fixture.Ask("GET", "/readyz").status == 200);
  std::string why;
  SECTION("no primary") {
    fixture.view->primary.reset();
    why = "no primary is known";
  }
  SECTION("nothing known") {
    fixture.view.reset();
    why = "no primary is known";
  }
  SECTION("not accepting") {
    fixture.run.accepting = false;
    why = "workers do not accept clients yet";
  }
  SECTION("draining") {
    fixture.run.draining = true;
    why = "draining: no new clients are accepted";
  }
  const auto response = fixture.Ask("GET", "/readyz");
  CHECK(response.status == 503);
  CHECK(response.content_type == "application/problem+json");
  CHECK(Contains(response.body, why));
  CHECK(fixture.Ask("GET", "/healthz").status == 200);
  CHECK(fixture.Ask("GET", "/api/v1/status").status == 200);
  CHECK(fixture.Ask("GET", "/api/v1/servers").status == 200);
  CHECK(fixture.Ask("GET", "/metrics").status == 200);
}

TEST_CASE("status and servers show what the view and the counters hold", "[core][admin]") {
  Fixture fixture;
  fixture.metrics->SetGauge(Gauge::kClientConnections, 4, ClientState::kIdle);
  fixture.metrics->SetGauge(Gauge::kServerConnections, 2, 1, ServerConnState::kActive);
  fixture.metrics->Count(Counter::kQueries, 1, 0);
  fixture.run.reload_ok = false;
  fixture.run.reload_error = "w.toml:3:zzz: unknown key";
  const std::string status = fixture.Ask("GET", "/api/v1/status").body;
  CAPTURE(status);
  CHECK(Contains(status, "\"primary\":\"pg0\""));
  CHECK(Contains(status, "\"replicas_eligible\":1"));
  CHECK(Contains(status, "\"idle\":4"));
  CHECK(Contains(status, "\"max\":500"));
  CHECK(Contains(status, "\"queries_total\":1"));
  CHECK(Contains(status, "\"sync_guarantee\":true"));
  CHECK(Contains(status, "w.toml:3:zzz: unknown key"));
  const std::string servers = fixture.Ask("GET", "/api/v1/servers").body;
  CAPTURE(servers);
  CHECK(Contains(servers, "\"role\":\"primary\""));
  CHECK(Contains(servers, "\"flush_lsn\":\"16/0\""));
  CHECK(Contains(servers, "\"sync_state\":\"sync\""));
  CHECK(Contains(servers, "\"lag_bytes\":256"));
  CHECK(Contains(servers, "\"lag_ms\":1.5"));
  CHECK(Contains(servers, "\"system_identifier\":\"7711120444355667568\""));
  CHECK(Contains(servers, "\"active\":2"));
}

TEST_CASE("the servers are shown with what the fence knows and what keeps reads from them", "[core][admin]") {
  Fixture fixture;
  const auto servers = [&] { return fixture.Ask("GET", "/api/v1/servers").body; };
  auto& replica = fixture.view->servers[1];
  replica.sync_guarantee = true;
  CHECK(Contains(servers(), R"("replay_lsn":"15/FFFFFF80")"));
  CHECK(Contains(servers(), R"("read_index":"16/0","read_index_distance_bytes":128)"));
  CHECK(Contains(servers(), R"("sync_guarantee":true,"sync_guarantee_why":null)"));
  CHECK(Contains(servers(),
                 R"("why_not":{"streaming":{"eventual":null,"strict":null},"synchronous":{"eventual":null,"strict":null}})"));

  replica.sync_state = SyncState::kAsync;
  replica.eligible = replica.sync_guarantee = false;
  replica.ineligible_why = "its sync_state is async";
  CHECK(Contains(
      servers(),
      R"("why_not":{"streaming":{"eventual":null,"strict":null},"synchronous":{"eventual":"its sync_state is async","strict":"its sync_state is async"}})"));
  CHECK(Contains(servers(), R"("sync_guarantee":false,"sync_guarantee_why":"its sync_state is async")"));

  fixture.fence.servers[1] = {{}, 0, "connection refused"};
  CHECK(Contains(servers(),
                 R"("streaming":{"eventual":null,"strict":"it cannot be asked how far it has replayed: connection refused"})"));
  fixture.fence = {};
  CHECK(Contains(servers(), R"("read_index":null,"read_index_distance_bytes":null)"));
  CHECK(Contains(servers(), R"("streaming":{"eventual":null,"strict":"the primary cannot be asked for its position"})"));

  fixture.view->sync_guarantee = false;
  fixture.view->sync_guarantee_why = "synchronous_commit is on, not remote_apply";
  CHECK(Contains(servers(), R"("sync_guarantee_why":"synchronous_commit is on, not remote_apply")"));
  CHECK(Contains(fixture.Ask("GET", "/api/v1/status").body, R"("warnings":[])"));
}

TEST_CASE("the metrics hold the cluster, the workers and the requests", "[core][admin]") {
  Fixture fixture;
  AdminApi api(fixture.Sources());
  api.Count("GET", "/metrics", 200);
  api.Count("GET", "/" + std::string(1000, 'x'), 404);
  api.Count("BREW", "/", 400);
  const std::string text = api.Handle({"GET", "/metrics", ""}).body;
  for (const char* line :
       {"waypost_server_up{server=\"pg1\"} 1\n", "waypost_server_role{server=\"pg0\",role=\"primary\"} 1\n",
        "waypost_server_role{server=\"pg0\",role=\"replica\"} 0\n",
        "waypost_server_sync_state{server=\"pg1\",state=\"sync\"} 1\n",
        "waypost_replication_lag_bytes{server=\"pg1\",stage=\"replay\"} 256\n",
        "waypost_replication_lag_seconds{server=\"pg1\"} 0.0015\n", "waypost_replica_sync_guarantee{server=\"pg1\"} 0\n",
        "waypost_lag_sample_age_seconds{server=\"pg1\"} ", "waypost_client_connections_max 500\n",
        "waypost_server_connections_max{server=\"pg0\"} 100\n",
        "waypost_primary_info{server=\"pg0\",timeline=\"3\",system_identifier="
        "\"7711120444355667568\"} 1\n",
        "waypost_queries_total{target=\"primary\",reason=\"read_safe\"} 0\n", "waypost_sessions_pinned{reason=\"listen\"} 0\n",
        "waypost_admin_requests_total{route=\"/metrics\",method=\"GET\",code=\"200\"} 1\n",
        "waypost_admin_requests_total{route=\"other\",method=\"GET\",code=\"404\"} 1\n",
        "waypost_admin_requests_total{route=\"/\",method=\"other\",code=\"400\"} 1\n"}) {
    CAPTURE(line);
    CHECK(Contains(text, line));
  }
}

TEST_CASE("a question about a route is answered", "[core][admin]") {
  Fixture fixture;
  const auto response = fixture.Ask("POST", "/api/v1/route", R"({"sql": "select 1", "database": "d", "user": "u"})");
  CHECK(response.status == 200);
  CHECK(response.content_type == "application/json");
  CHECK(Contains(response.body, "\"target\":\"primary\""));
  CHECK(Contains(response.body, "\"reason\":\"d|u\""));
  CHECK(Contains(response.body, "\"path\":[\"select 1\"]"));
  CHECK(Contains(fixture.Ask("POST", "/api/v1/route", R"({"sql": ""})").body, "\"reason\":\"postgres|\""));
}

TEST_CASE("digests come in the order asked for", "[core][admin]") {
  Fixture fixture;
  fixture.AddDigest("often", 9, milliseconds(18));
  fixture.AddDigest("slow", 1, milliseconds(500));
  fixture.report.evicted = 7;
  const auto by_time = fixture.Ask("GET", "/api/v1/digests").body;
  CAPTURE(by_time);
  CHECK(by_time.find("\"text\":\"slow\"") < by_time.find("\"text\":\"often\""));
  CHECK(Contains(by_time, "\"mean_ms\":2.0"));
  CHECK(Contains(by_time, "\"known\":2"));
  CHECK(Contains(by_time, "\"evicted\":7"));
  CHECK(Contains(by_time, "\"fingerprint\":null"));
  const auto by_calls = fixture.Ask("GET", "/api/v1/digests", "", {{"sort", "calls"}, {"limit", "1"}}).body;
  CHECK(Contains(by_calls, "often"));
  CHECK_FALSE(Contains(by_calls, "slow"));
  CHECK(fixture.Ask("GET", "/api/v1/digests", "", {{"limit", "0"}}).status == 400);
  CHECK(fixture.Ask("GET", "/api/v1/digests", "", {{"limit", "1x"}}).status == 400);
  CHECK(Contains(fixture.Ask("GET", "/api/v1/digests", "", {{"sort", "name"}}).body,
                 "expected calls, time, rows, errors or fallbacks"));
  CHECK(fixture.Ask("GET", "/api/v1/digests", "", {{"sorted", "calls"}}).status == 400);
}

TEST_CASE("shadow mode says what share could move, and what keeps the rest", "[core][admin]") {
  Fixture fixture;
  CHECK(Contains(fixture.Ask("GET", "/api/v1/shadow").body, "nothing was counted"));
  fixture.metrics->CountMany(Counter::kShadowStatements, 73, Would::kReplica, Reason::kReadSafe);
  fixture.metrics->CountMany(Counter::kShadowStatements, 20, Would::kPrimary, Reason::kWrite);
  fixture.metrics->CountMany(Counter::kShadowStatements, 7, Would::kPrimary, Reason::kVolatileFunction);
  fixture.AddDigest("f", 3, {});
  fixture.AddDigest("g", 4, {});
  const auto body = fixture.Ask("GET", "/api/v1/shadow").body;
  CAPTURE(body);
  CHECK(Contains(body,
                 "73 % of statements could run on replicas; of all, these could not: write "
                 "20 %, volatile_function 7 % (top: path of g)"));
  CHECK(Contains(body, "\"share\":0.73"));
  CHECK(Contains(body, "{\"calls\":3,\"path\":\"path of f\"}"));
}

TEST_CASE("bad requests get a problem that says what was expected", "[core][admin]") {
  const auto [method, path, body, status, detail] = GENERATE(table<std::string, std::string, std::string, int, std::string>({
      {"GET", "/nope", "", 404, "There is no such path"},
      {"GET", "/api/v1/route", "", 405, "This path takes POST."},
      {"POST", "/metrics", "", 405, "This path takes GET, HEAD."},
      {"POST", "/api/v1/route", "", 400, "not valid JSON"},
      {"POST", "/api/v1/route", "{\"sql\": \"\xff\"}", 400, "not valid JSON"},
      {"POST", "/api/v1/route", "null", 400, "found null, expected an object"},
      {"POST", "/api/v1/route", "{}", 400, "found no \\\"sql\\\", expected a string"},
      {"POST", "/api/v1/route", R"({"sql": 1})", 400, "found number as \\\"sql\\\", expected a string"},
      {"POST", "/api/v1/route", R"({"sql": "a\u0000"})", 400, "contains a NUL character"},
      {"POST", "/api/v1/route", R"({"sql": "", "sqi": ""})", 400, "unknown field \\\"sqi\\\""},
      {"POST", "/api/v1/route", std::string(100'000, '['), 400, "not valid JSON"},
  }));
  CAPTURE(method, path, body.substr(0, 50));
  Fixture fixture;
  const auto response = fixture.Ask(method, path, body);
  CHECK(response.status == status);
  CHECK(response.content_type == "application/problem+json");
  CHECK(Contains(response.body, detail));
  CHECK(Contains(response.body, "\"status\":" + std::to_string(status)));
}

TEST_CASE("a statement is explained by the text alone, or with servers", "[core][admin]") {
  Config config;
  const auto offline = [&](const char* sql) { return ExplainRoute(AskAbout(sql), config, nullptr, nullptr, Clock::now()); };
  CHECK(offline("select 1").target == "replica");
  CHECK(offline("select 1").reason == "read_safe");
  CHECK(offline("insert into t values (1)").target == "primary");
  CHECK(offline("insert into t values (1)").reason == "write");
  const auto unknown = offline("selec 1");
  CHECK(unknown.reason == "unknown_syntax");
  REQUIRE(unknown.path.size() == 1);
  CHECK(Contains(unknown.path[0], "does not know this form: syntax error at or near \"selec\""));
  CHECK(offline("begin read only").target == "replica");
  CHECK(offline("").statements.empty());
  CHECK(offline("select 1; insert into t values (1)").statements.size() == 2);
  const auto view = MakeView();
  view->servers[1].sync_state = SyncState::kAsync;
  view->servers[1].eligible = false;
  view->servers[1].ineligible_why = "its sync_state is async";
  const auto answer = ExplainRoute(AskAbout("select 1"), config, view.get(), nullptr, Clock::now());
  CHECK(answer.target == "primary");
  CHECK(answer.server == "pg0");
  CHECK(answer.reason == "no_eligible_replica");
  CHECK(answer.no_replica.back() == "pg1 may not be read from: its sync_state is async");
}

TEST_CASE("the port answers HTTP, refuses garbage, and is not shared", "[core][admin]") {
  Fixture fixture;
  AdminServer server(fixture.Sources());
  const auto port = server.Start("127.0.0.1", 0);
  REQUIRE(port);
  const std::string head = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  const std::string health = Talk(*port, "GET /healthz" + head + "\r\n");
  CHECK(health.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(Contains(health, "Cache-Control: no-store"));
  CHECK(Talk(*port, "DELETE /healthz" + head + "\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(Contains(Talk(*port, "DELETE /healthz" + head + "\r\n"), "Allow: GET, HEAD"));
  for (const char* garbage : {"GET /healthz\r\n\r\n", "GARBAGE /healthz SMTP/1.0\r\n\r\n", "GET  \r\n\r\n"})
    CHECK(Talk(*port, garbage).starts_with("HTTP/1.1 400 "));
  const std::string to_binary = Talk(*port, "\x7f\x01 \x02\r\n\r\n");
  CHECK((to_binary.empty() || to_binary.starts_with("HTTP/1.1 400 ")));  // libmicrohttpd 1.0 closes, older ones answer
  CHECK(Talk(*port, "GARBAGE\r\n\r\n").empty());  // closed without an answer: there is nobody who speaks HTTP
  AdminServer second(fixture.Sources());
  const auto taken = second.Start("127.0.0.1", *port);
  REQUIRE_FALSE(taken);
  CHECK(taken.error() == "admin: cannot listen on 127.0.0.1:" + std::to_string(*port) + ": Address already in use");
  server.Stop();
  CHECK(Talk(*port, "GET /healthz" + head + "\r\n").empty());
}

TEST_CASE("what is too long, or not JSON, is refused and why is said", "[core][admin]") {
  Fixture fixture;
  AdminServer server(fixture.Sources());
  const auto port = server.Start("127.0.0.1", 0);
  REQUIRE(port);
  const auto post = [&](const std::string& path, const std::string& body, const std::string& type) {
    return Talk(*port, "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + type +
                           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const auto is = [](const std::string& answer, const std::string& status, const std::string& detail) {
    CAPTURE(answer.substr(0, 400));
    CHECK(answer.starts_with("HTTP/1.1 " + status + " "));
    CHECK(Contains(answer, "Content-Type: application/problem+json"));
    CHECK(Contains(answer, detail));
  };
  const std::string json = "Content-Type: application/json\r\n";
  const std::string body = R"({"sql":"select 1"})";
  is(post("/api/v1/reload", std::string(kMaxAdminBodyBytes + 1, ' '), json), "413", "The body has more than 65536 bytes.");
  CHECK(post("/api/v1/reload", std::string(kMaxAdminBodyBytes, ' '), json).starts_with("HTTP/1.1 400 "));
  // A statement may be as long as one that a session reads.
  is(post("/api/v1/route", std::string(kMaxAdminSqlBytes + 1, ' '), json), "413", "The body has more than 1048576 bytes.");
  CHECK(
      Contains(post("/api/v1/route", body + std::string(kMaxAdminSqlBytes - body.size(), ' '), json), "\"target\":\"primary\""));

  for (const auto* type :
       {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/jsonp\r\n", "Content-Type: multipart/form-data; boundary=application/json\r\n"})
    is(post("/api/v1/route", body, type), "415", "The body needs Content-Type: application/json.");
  for (const auto* type : {"content-type: Application/JSON\r\n", "Content-Type: application/json; charset=utf-8\r\n"})
    CHECK(Contains(post("/api/v1/route", body, type), "\"target\":\"primary\""));

  const auto get = [&](const std::string& path, std::size_t more) {
    return Talk(*port,
                "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + std::string(more, 'x') + "\r\n\r\n");
  };
  const auto others = std::strlen("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: \r\n\r\n");
  CHECK(get("/healthz", kMaxAdminHeadBytes - others).starts_with("HTTP/1.1 200 "));
  is(get("/healthz", kMaxAdminHeadBytes - others + 1), "431", "The head has more than 8192 bytes.");
  is(get("/" + std::string(20'000, 'a'), 1), "414", "The URI has more than 8192 bytes.");
  CHECK_FALSE(Contains(get("/healthz", 100'000), " 200 "));
}

TEST_CASE("what keeps every read on the primary is told wherever one looks", "[core][admin]") {
  Fixture f;
  std::string kept = GENERATE("", "replicas are there, none may be read from: pg1: no");
  auto sources = f.Sources();
  sources.kept_reads = [&] { return kept; };
  AdminApi api(sources);
  const auto ready = api.Handle({"GET", "/readyz", "", {{"verbose", ""}}});
  CHECK(ready.status == 200);
  CHECK(Contains(ready.body, "none may be read from") == !kept.empty());
  CHECK(api.Handle({"GET", "/readyz", ""}).body == "ok\n");
  const auto status = api.Handle({"GET", "/api/v1/status", ""}).body;
  CHECK(Contains(status, "\"reads_on_primary_why\":null") == kept.empty());
  CHECK(Contains(status, "none may be read from") == !kept.empty());
  const auto metrics = api.Handle({"GET", "/metrics", ""}).body;
  CHECK(Contains(metrics, kept.empty() ? "waypost_reads_kept_on_primary 0\n" : "waypost_reads_kept_on_primary 1\n"));
}

TEST_CASE("the index lists what there is, and nobody has to guess", "[core][admin]") {
  Fixture fixture;
  fixture.run.read_from = ReadFrom::kStreaming;
  const auto index = fixture.Ask("GET", "/api/v1");
  CHECK(index.status == 200);
  CHECK(index.content_type == "application/json");
  for (const auto* path : {"/metrics", "/readyz", "/api/v1/status", "/api/v1/route"})
    CHECK(Contains(index.body, "\"path\":\"" + std::string(path) + "\""));
  CHECK(fixture.Ask("POST", "/api/v1").status == 405);
  CHECK(Contains(fixture.Ask("GET", "/api/v1/status").body, R"("read_from":"streaming")"));
}

TEST_CASE("files are served beside the API and counted as one path", "[core][admin]") {
  Fixture fixture;
  auto sources = fixture.Sources();
  static const StaticFile file{"/page/x.js", "text/javascript", "1", {{"X-Of-Page", "yes"}}};
  sources.files = [](std::string_view path) { return path == file.path ? &file : nullptr; };
  AdminApi api(sources);
  const auto answer = api.Handle({"GET", "/page/x.js", ""});
  CHECK(answer.status == 200);
  CHECK(answer.body == "1");
  CHECK(answer.headers == file.headers);
  CHECK(api.Handle({"POST", "/page/x.js", ""}).status == 404);
  api.Count("GET", "/page/x.js", 200);
  CHECK(
      Contains(api.Handle({"GET", "/metrics", ""}).body, R"(waypost_admin_requests_total{route="/",method="GET",code="200"} 1)"));
}

}  // namespace waypost
