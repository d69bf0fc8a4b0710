#include "core/admin/api.h"

#include <algorithm>
#include <utility>

#include "core/admin/cluster_metrics.h"
#include "core/admin/json.h"
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

constexpr const char* kIndexHead =
    "<!doctype html><html lang=\"en\"><head><meta "
    "charset=\"utf-8\"><title>Waypost</title></head><body>"
    "<h1>Waypost " WAYPOST_VERSION "</h1><ul>";

}  // namespace

struct AdminApi::Route {
  std::string_view method, path, about;
  AdminResponse (AdminApi::*handle)(const AdminRequest&);
};

const std::vector<AdminApi::Route>& AdminApi::Routes() {
  static const std::vector<Route> routes = {
      {"GET", "/", "this page", &AdminApi::Index},
      {"GET", "/metrics", "the metrics, for Prometheus", &AdminApi::Metrics},
      {"GET", "/healthz", "200 while the process lives", &AdminApi::Health},
      {"GET", "/readyz", "200 while statements can be served, else 503 and why; ?verbose adds what keeps reads on the primary",
       &AdminApi::Ready},
      {"GET", "/api/v1/status", "a summary of the state", &AdminApi::Status},
      {"GET", "/api/v1/servers", "each server: role, lag, whether it may be read from and why not", &AdminApi::Servers},
      {"GET", "/api/v1/digests", "what ran, by class of statement: ?sort=calls|time|rows|errors|fallbacks&limit=n",
       &AdminApi::AskDigests},
      {"GET", "/api/v1/shadow",
       "with read_from = \"none\": what share of the statements could move to replicas, and why "
       "the rest could not",
       &AdminApi::Shadow},
      {"POST", "/api/v1/route",
       "where a statement would go and why: {\"sql\", \"database\", \"user\", \"search_path\", "
       "\"application_name\"}",
       &AdminApi::AskRoute},
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

AdminResponse AdminApi::Handle(const AdminRequest& request) noexcept {
  try {
    std::string allow;
    for (const Route& route : Routes()) {
      if (route.path != request.path) continue;
      if (route.method == request.method || (route.method == "GET" && request.method == "HEAD"))
        return (this->*route.handle)(request);
      allow = route.method == "GET" ? "GET, HEAD" : std::string(route.method);
    }
    if (allow.empty()) return Problem(404, "Not found", "There is no such path; GET / lists all paths.");
    AdminResponse response = Problem(405, "Method not allowed", "This path takes " + allow + ".");
    response.allow = allow;
    return response;
  } catch (...) {
    return {500, kProblem, "{\"type\":\"about:blank\",\"title\":\"Internal error\",\"status\":500}\n", ""};
  }
}

void AdminApi::Count(std::string_view method, std::string_view path, int status) {
  const auto& routes = Routes();
  const bool known = std::any_of(routes.begin(), routes.end(), [&](const Route& r) { return r.path == path; });
  const bool common = method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" || method == "PATCH" ||
                      method == "DELETE" || method == "OPTIONS";
  const std::lock_guard lock(mutex_);
  ++requests_[{known ? std::string(path) : "other", common ? std::string(method) : "other", status}];
}

AdminResponse AdminApi::Metrics(const AdminRequest&) {
  return {200, "text/plain; version=0.0.4; charset=utf-8", exporter_.Text(), ""};
}

AdminResponse AdminApi::Health(const AdminRequest&) { return {200, kText, "ok\n", ""}; }

AdminResponse AdminApi::Ready(const AdminRequest& request) {
  const std::string why = WhyNotReady(sources_.view(), sources_.run());
  if (why.empty()) {
    std::string body = "ok\n";
    if (const auto kept = KeptReads(); request.query.contains("verbose") && !kept.empty())
      body += "reads run on the primary: " + kept + "\n";
    return {200, kText, std::move(body), ""};
  }
  return Problem(503, "Not ready", why);
}

AdminResponse AdminApi::Index(const AdminRequest&) {
  std::string page = kIndexHead;
  for (const Route& route : Routes()) {
    const std::string path(route.path);
    page += "<li>" + std::string(route.method) + " ";
    page += route.method == "GET" ? "<a href=\"" + path + "\">" + path + "</a>" : path;
    page += ": " + std::string(route.about) + "</li>";
  }
  return {200, "text/html; charset=utf-8", page + "</ul></body></html>\n", ""};
}

AdminResponse AdminApi::Status(const AdminRequest&) {
  const View view = sources_.view();
  const RunStatus run = sources_.run();
  return Json(StatusJson({view, run, sources_.threads, WhyNotReady(view, run), KeptReads(), started_}));
}

AdminResponse AdminApi::Servers(const AdminRequest&) {
  return Json(ServersJson(sources_.view(), sources_.fence ? sources_.fence() : FenceReport(), sources_.threads));
}

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
  output.Add(Scraped::kHeld, static_cast<double>(run.held_statements));
  output.Add(Scraped::kClientConnectionsMax, run.max_clients);
  output.Add(Scraped::kBuildInfo, 1, {WAYPOST_VERSION, "gcc " __VERSION__, std::string(GrammarMajor())});
  output.Add(Scraped::kStartTime, UnixSeconds(started_));
  output.Add(Scraped::kReloadSuccess, run.reload_ok ? 1 : 0);
  output.Add(Scraped::kReloadTimestamp, UnixSeconds(run.config_loaded));
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : requests_) {
    const auto& [path, method, status] = key;
    output.Add(Scraped::kAdminRequests, static_cast<double>(count), {path, method, std::to_string(status)});
  }
}

}  // namespace waypost
