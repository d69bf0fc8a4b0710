#include "core/admin/api.h"

#include <algorithm>
#include <utility>

#include "core/admin/cluster_metrics.h"
#include "core/admin/json.h"
#include "core/base/log.h"
#include "parser/sql/facts.h"
#include "routing/health.h"

namespace waypost {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kProblem = "application/problem+json";
constexpr const char* kText = "text/plain; charset=utf-8";

AdminResponse Json(std::string body) { return {200, kJson, std::move(body), ""}; }

double UnixSeconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

// "" if statements can be served; else why not.
std::string WhyNotReady(const View& view, const RunStatus& run) {
  if (run.draining) return "draining: no new clients are accepted";
  if (!run.accepting) return "workers do not accept clients yet";
  if (!view || !view->primary) return view ? WhyNoPrimary(*view) : "no primary is known";
  return "";
}

}  // namespace

struct AdminApi::Route {
  std::string_view method, path, about;
  AdminWork work;
  AdminRole role;
  AdminResponse (AdminApi::*handle)(const AdminRequest&);
};

const std::vector<AdminApi::Route>& AdminApi::Routes() {
  using enum AdminWork;
  constexpr auto kAnyone = AdminRole::kNone, kViewer = AdminRole::kViewer, kOperator = AdminRole::kOperator,
                 kAdmin = AdminRole::kAdmin;
  static const std::vector<Route> routes = {
      {"GET", "/", "the page", kAtOnce, kAnyone, &AdminApi::Index},
      {"GET", "/api/v1", "this list", kAtOnce, kAnyone, &AdminApi::Index},
      {"GET", "/metrics", "the metrics, for Prometheus", kMetrics, kAnyone, &AdminApi::Metrics},
      {"GET", "/healthz", "200 while the process lives", kAtOnce, kAnyone, &AdminApi::Health},
      {"GET", "/readyz", "200 while statements can be served, else 503 and why; ?verbose adds what keeps reads on the primary",
       kAtOnce, kAnyone, &AdminApi::Ready},
      {"GET", "/api/v1/status", "a summary of the state", kLook, kViewer, &AdminApi::Status},
      {"GET", "/api/v1/servers", "each server: role, lag, whether it may be read from and why not", kLook, kViewer,
       &AdminApi::Servers},
      {"GET", "/api/v1/digests", "what ran, by class of statement: ?sort=calls|time|rows|errors|fallbacks&limit=n", kLook,
       kViewer, &AdminApi::AskDigests},
      {"GET", "/api/v1/shadow",
       "with read_from = \"none\": what share of the statements could move to replicas, and why "
       "the rest could not",
       kLook, kViewer, &AdminApi::Shadow},
      {"POST", "/api/v1/route",
       "where a statement would go and why: {\"sql\", \"database\", \"user\", \"search_path\", "
       "\"application_name\"}",
       kCostly, kViewer, &AdminApi::AskRoute},
      {"GET", "/openapi.json", "this API as an OpenAPI 3.1 document", kAtOnce, kAnyone, &AdminApi::OpenApi},
      {"GET", "/api/v1/sessions",
       "who is connected: ?user=&database=&application_name=&server=&state=&pinned=true&limit=n&offset=n", kLook, kViewer,
       &AdminApi::ListSessions},
      {"GET", "/api/v1/sessions/{id}", "one of them in full", kLook, kViewer, &AdminApi::ShowSession},
      {"DELETE", "/api/v1/sessions/{id}", "ends it", kLook, kOperator, &AdminApi::EndSession},
      {"POST", "/api/v1/sessions/{id}/cancel", "cancels what it runs", kLook, kOperator, &AdminApi::CancelSession},
      {"POST", "/api/v1/sessions/{id}/trace", "follows it for a while: {\"for_s\"}", kLook, kOperator, &AdminApi::BeginTrace},
      {"GET", "/api/v1/sessions/{id}/trace", "its statements since then: ?since=id&limit=n", kLook, kViewer,
       &AdminApi::ShowTrace},
      {"DELETE", "/api/v1/sessions/{id}/trace", "ends that", kLook, kOperator, &AdminApi::EndTrace},
      {"GET", "/api/v1/pools", "the pools of server connections", kLook, kViewer, &AdminApi::ListPools},
      {"GET", "/api/v1/me", "who you are, and your role", kAtOnce, kAnyone, &AdminApi::Me},
      {"POST", "/api/v1/login", "a session for a browser: {\"token\"}", kLook, kAnyone, &AdminApi::LogIn},
      {"POST", "/api/v1/logout", "ends it", kLook, kAnyone, &AdminApi::LogOut},
      {"PATCH", "/api/v1/servers/{name}", "{\"intent\": \"active|drain|maintenance\", \"weight\", \"deadline_s\"}", kLook,
       kOperator, &AdminApi::ChangeServer},
      {"GET", "/api/v1/cluster", "the primary, its timeline, and whether the cluster is paused", kLook, kViewer,
       &AdminApi::Cluster},
      {"POST", "/api/v1/cluster/pause", "holds statements: {\"what\": \"writes|all\", \"limit_s\"}", kLook, kOperator,
       &AdminApi::PauseCluster},
      {"POST", "/api/v1/cluster/resume", "lets them go on", kLook, kOperator, &AdminApi::ResumeCluster},
      {"DELETE", "/api/v1/digests", "forgets what was counted", kLook, kOperator, &AdminApi::ResetDigests},
      {"GET", "/api/v1/rules", "each [[rule]] and how many statements it matched", kLook, kViewer, &AdminApi::ShowRules},
      {"GET", "/api/v1/config", "each value in force and where it comes from, secrets masked", kLook, kAdmin,
       &AdminApi::ShowConfig},
      {"POST", "/api/v1/reload", "loads the configuration again: {\"dry_run\"}", kCostly, kAdmin, &AdminApi::ReloadConfig},
      {"GET", "/api/v1/log", "the level of the log", kLook, kViewer, &AdminApi::ShowLog},
      {"PUT", "/api/v1/log", "{\"level\": \"trace|debug|info|warning|error\"}, until the next reload", kLook, kAdmin,
       &AdminApi::ChangeLog},
      {"GET", "/api/v1/events", "what happened, as server-sent events; with Accept: application/json a list: ?since=id&limit=n",
       kLook, kViewer, &AdminApi::ListEvents},
  };
  return routes;
}

AdminApi::AdminApi(AdminSources sources)
    : sources_(std::move(sources)),
      started_(std::chrono::system_clock::now()),
      exporter_(MakeLabelTables(sources_.view, sources_.rules), sources_.threads,
                {[this](ScrapeOutput& output) { AddOwnMetrics(output); }, AddProcessMetrics}) {}

AdminResponse AdminApi::Problem(int status, std::string_view title, std::string_view detail) {
  return {status, kProblem, ProblemJson(status, title, detail), ""};
}

namespace {

// Whether `path` has the form of `pattern`, in which "{name}" stands for one segment; that goes to `argument`.
bool Matches(std::string_view pattern, std::string_view path, std::string& argument) {
  const auto brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  const auto after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= brace + after.size() || !path.starts_with(pattern.substr(0, brace)) || !path.ends_with(after)) return false;
  const auto segment = path.substr(brace, path.size() - brace - after.size());
  if (segment.find('/') != std::string_view::npos) return false;
  argument = segment;
  return true;
}

bool Reads(std::string_view method) { return method == "GET" || method == "HEAD"; }

}  // namespace

// Null if there is none; then `allow` says which methods the path takes, and is empty if there is no such path.
const AdminApi::Route* AdminApi::Find(std::string_view method, std::string_view path, std::string& argument, std::string& allow) {
  for (const Route& route : Routes()) {
    if (!Matches(route.path, path, argument)) continue;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) return &route;
    allow += (allow.empty() ? "" : ", ") + (route.method == "GET" ? std::string("GET, HEAD") : std::string(route.method));
  }
  return nullptr;
}

AdminResponse AdminApi::Denied(const AdminAccess::Answer& answer) {
  auto response = Problem(answer.status,
                          answer.status == 401   ? "Unauthorized"
                          : answer.status == 429 ? "Too many requests"
                                                 : "Forbidden",
                          answer.detail);
  if (answer.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (answer.wait_s > 0) response.headers.emplace_back("Retry-After", std::to_string(answer.wait_s));
  return response;
}

std::optional<AdminResponse> AdminApi::Admit(AdminRequest& request) {
  std::string argument, allow;
  const auto* route = Find(request.method, request.path, argument, allow);
  if (sources_.access == nullptr) {
    request.who = {AdminRole::kAdmin, "", "loopback"};
    return std::nullopt;
  }
  const bool asks_who = route != nullptr && (route->role != AdminRole::kNone || route->handle == &AdminApi::Me);
  if (!asks_who) return std::nullopt;
  const bool changes = route->role > AdminRole::kViewer && !Reads(request.method);
  auto answer = sources_.access->Identify(request.peer, request.credentials, changes, Clock::now());
  if (answer.status != 0) return Denied(answer);
  request.who = std::move(answer.who);
  if (request.who.role >= route->role) return std::nullopt;
  const auto needed = std::string(AdminRoleName(route->role));
  const bool anonymous = request.who.role == AdminRole::kNone || request.who.via == "loopback";
  return Denied({{},
                 anonymous ? 401 : 403,
                 anonymous ? "This needs the role " + needed +
                                 ": send Authorization: Bearer TOKEN (waypost token create), or use [admin] socket."
                           : "This needs the role " + needed + ", and " + request.who.name + " is " +
                                 std::string(AdminRoleName(request.who.role)) + "."});
}

std::vector<AdminApi::Permission> AdminApi::Permissions() {
  std::vector<Permission> all;
  for (const Route& route : Routes()) all.push_back({std::string(route.method), std::string(route.path), route.role});
  return all;
}

AdminResponse AdminApi::Handle(const AdminRequest& asked) noexcept {
  try {
    if (const auto* file = Reads(asked.method) && sources_.files ? sources_.files(asked.path) : nullptr)
      return {200, std::string(file->content_type), std::string(file->bytes), "", file->headers};
    std::string argument, allow;
    const auto* route = Find(asked.method, asked.path, argument, allow);
    if (route == nullptr && allow.empty())
      return Problem(404, "Not found", "There is no such path; GET /api/v1 lists all paths.");
    if (route == nullptr) {
      AdminResponse response = Problem(405, "Method not allowed", "This path takes " + allow + ".");
      response.allow = allow;
      return response;
    }
    auto request = asked;
    if (auto denied = Admit(request)) return std::move(*denied);
    request.argument = std::move(argument);
    return (this->*route->handle)(request);
  } catch (...) {
    return {500, kProblem, "{\"type\":\"about:blank\",\"title\":\"Internal error\",\"status\":500}\n", ""};
  }
}

AdminWork AdminApi::WorkOf(std::string_view method, std::string_view path) {
  std::string argument, allow;
  const auto* route = Find(method, path, argument, allow);
  return route != nullptr ? route->work : AdminWork::kAtOnce;
}

std::size_t AdminApi::MostBodyBytes(std::string_view method, std::string_view path) {
  std::string argument, allow;
  const auto* route = Find(method, path, argument, allow);
  return route != nullptr && route->handle == &AdminApi::AskRoute ? kMaxAdminSqlBytes : kMaxAdminBodyBytes;
}

void AdminApi::Count(std::string_view method, std::string_view path, int status) {
  std::string argument;
  const auto& routes = Routes();
  if (sources_.files && sources_.files(path) != nullptr) path = "/";  // all files of the page
  const auto known = std::find_if(routes.begin(), routes.end(), [&](const Route& r) { return Matches(r.path, path, argument); });
  const bool common = method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" || method == "PATCH" ||
                      method == "DELETE" || method == "OPTIONS";
  const std::lock_guard lock(mutex_);
  ++requests_[{known != routes.end() ? std::string(known->path) : "other", common ? std::string(method) : "other", status}];
}

AdminResponse AdminApi::Metrics(const AdminRequest&) {
  return {200, "text/plain; version=0.0.4; charset=utf-8", exporter_.Text(), ""};
}

AdminResponse AdminApi::Health(const AdminRequest&) { return {200, kText, "ok\n", ""}; }

AdminResponse AdminApi::Ready(const AdminRequest& request) {
  const std::string why = WhyNotReady(sources_.view(), sources_.run());
  if (why.empty()) {
    std::string body = "ok\n";
    const auto paused = sources_.paused && request.query.contains("verbose") ? sources_.paused() : std::nullopt;
    if (paused)
      body += "paused: " + paused->what + ", since " + Rfc3339(paused->since) + ", until " + Rfc3339(paused->until) + "; " +
              std::to_string(sources_.run().held_statements) + " statements are held\n";
    if (const auto kept = KeptReads(); request.query.contains("verbose") && !kept.empty())
      body += "reads run on the primary: " + kept + "\n";
    return {200, kText, std::move(body), ""};
  }
  return Problem(503, "Not ready", why);
}

AdminResponse AdminApi::Index(const AdminRequest&) {
  std::vector<Endpoint> endpoints;
  for (const Route& route : Routes()) endpoints.push_back({route.method, route.path, route.about});
  return Json(IndexJson(endpoints));
}

AdminResponse AdminApi::Status(const AdminRequest&) {
  const View view = sources_.view();
  const RunStatus run = sources_.run();
  return Json(StatusJson({view, run, sources_.threads, WhyNotReady(view, run), KeptReads(), started_}));
}

AdminResponse AdminApi::Servers(const AdminRequest&) {
  return Json(
      ServersJson(sources_.view(), sources_.fence ? sources_.fence() : FenceReport(), sources_.threads, CurrentDeadlines()));
}

AdminResponse AdminApi::OpenApi(const AdminRequest&) { return Json(std::string(OpenApiDocument())); }

AdminResponse AdminApi::AskRoute(const AdminRequest& request) {
  const auto question = ReadRouteQuestion(request.body, sources_.default_database);
  if (!question) return Problem(400, "Bad request", question.error());
  if (!sources_.route) return Problem(503, "Not ready", "routing has not started yet");
  return Json(RouteJson(*question, sources_.route(*question)));
}

AdminResponse AdminApi::AskDigests(const AdminRequest& request) {
  const auto wanted = ReadDigestQuestion(request.query);
  if (!wanted) return Problem(400, "Bad request", wanted.error());
  if (!sources_.digests) return Problem(503, "Not ready", "no worker is running yet");
  return Json(DigestsJson(sources_.digests(), *wanted));
}

AdminResponse AdminApi::Shadow(const AdminRequest&) {
  return Json(ShadowJson(sources_.threads, sources_.digests ? sources_.digests() : DigestReport()));
}

void AdminApi::AddOwnMetrics(ScrapeOutput& output) {
  if (const View view = sources_.view()) AddClusterMetrics(*view, Clock::now(), output);
  const RunStatus run = sources_.run();
  output.Add(Scraped::kReadsKept, KeptReads().empty() ? 0 : 1);
  const auto paused = sources_.paused ? sources_.paused() : std::nullopt;
  for (const char* what : {"writes", "all"}) output.Add(Scraped::kPaused, paused && paused->what == what ? 1 : 0, {what});
  output.Add(Scraped::kLongestTurn, run.longest_turn.count());
  output.Add(Scraped::kHeld, static_cast<double>(run.held_statements));
  output.Add(Scraped::kClientConnectionsMax, run.max_clients);
  output.Add(Scraped::kBuildInfo, 1, {WAYPOST_VERSION, "gcc " __VERSION__, std::string(GrammarMajor())});
  output.Add(Scraped::kStartTime, UnixSeconds(started_));
  if (!run.discovery.source.empty()) {
    output.Add(Scraped::kDiscoveryOk, run.discovery.error.empty() ? 1 : 0, {run.discovery.source});
    output.Add(Scraped::kDiscoveryAgrees, run.discovery.contradiction.empty() ? 1 : 0, {run.discovery.source});
  }
  output.Add(Scraped::kReloadSuccess, run.reload_ok ? 1 : 0);
  output.Add(Scraped::kReloadTimestamp, UnixSeconds(run.config_loaded));
  const auto lost = LostLogLines();
  output.Add(Scraped::kLogLinesLost, static_cast<double>(lost.flood), {"flood"});
  output.Add(Scraped::kLogLinesLost, static_cast<double>(lost.queue), {"queue"});
  output.Add(Scraped::kLogLinesLost, static_cast<double>(lost.write), {"write"});
  if (sources_.spans) {
    const auto spans = sources_.spans();
    output.Add(Scraped::kSpans, static_cast<double>(spans.sent), {"sent"});
    output.Add(Scraped::kSpans, static_cast<double>(spans.lost), {"lost"});
  }
  if (sources_.webhook) {
    const auto events = sources_.webhook();
    output.Add(Scraped::kWebhook, static_cast<double>(events.sent), {"sent"});
    output.Add(Scraped::kWebhook, static_cast<double>(events.lost), {"lost"});
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : requests_) {
    const auto& [path, method, status] = key;
    output.Add(Scraped::kAdminRequests, static_cast<double>(count), {path, method, std::to_string(status)});
  }
}

}  // namespace waypost
