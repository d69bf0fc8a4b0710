#include "core/admin/admin_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/admin/cluster_metrics.h"
#include "routing/health.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr const char* kJson = "application/json";
constexpr const char* kProblem = "application/problem+json";
constexpr const char* kText = "text/plain; charset=utf-8";

// Bytes that are not UTF-8 (an error text of a server in another encoding) are replaced, not thrown
// at.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

AdminResponse Json(const json& value) {
  return {200, kJson, Dump(value) + "\n", ""};
}

double UnixSeconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::int64_t Sum(const std::vector<const WorkerMetrics*>& threads, Gauge gauge, LabelIndex first,
                 LabelIndex second = 0) {
  std::int64_t sum = 0;
  for (const WorkerMetrics* thread : threads) sum += thread->Read(gauge, first, second);
  return sum;
}

std::uint64_t SumAll(const std::vector<const WorkerMetrics*>& threads, Counter counter) {
  const MetricInfo& info = kCounters[static_cast<std::size_t>(counter)];
  std::uint64_t sum = 0;
  for (const WorkerMetrics* thread : threads)
    for (std::size_t i = 0; i < InfoOf(info.labels[0]).capacity; ++i)
      for (std::size_t j = 0; j < InfoOf(info.labels[1]).capacity; ++j)
        sum += thread->Read(counter, i, j);
  return sum;
}

// "" if statements can be served; else why not.
std::string WhyNotReady(const View& view, const RunStatus& run) {
  if (run.draining) return "draining: no new clients are accepted";
  if (!run.accepting) return "workers do not accept clients yet";
  if (!view || !view->primary) return "no primary is known";
  return "";
}

json ServerJson(const ServerView& server, ServerId id, const ClusterView& view,
                const AdminSources& sources) {
  json connections = json::object();
  for (std::size_t i = 0; i < label_values::kServerConnState.size(); ++i)
    connections[std::string(label_values::kServerConnState[i])] =
        Sum(sources.threads, Gauge::kServerConnections, id, i);
  connections["max"] = server.max_connections;
  connections["waiting_sessions"] = Sum(sources.threads, Gauge::kPoolWaiting, id);
  json result = {{"name", server.name},
                 {"host", server.host},
                 {"port", server.port},
                 {"up", server.up},
                 {"role", RoleName(server.role)},
                 {"weight", server.weight},
                 {"connections", std::move(connections)}};
  result["error"] = server.error.empty() ? json(nullptr) : json(server.error);
  result["eligible"] = server.eligible;
  result["ineligible_why"] = server.eligible ? json(nullptr) : json(server.ineligible_why);
  const bool sampled = server.sampled != TimePoint{};
  result["sample_age_ms"] =
      sampled
          ? json(std::chrono::duration_cast<milliseconds>(Clock::now() - server.sampled).count())
          : json(nullptr);
  result["timeline"] = sampled ? json(server.timeline) : json(nullptr);
  // A string: JSON readers lose digits of a number this large.
  result["system_identifier"] =
      sampled ? json(std::to_string(server.system_identifier)) : json(nullptr);
  if (server.role == Role::kPrimary) {
    result["insert_lsn"] = FormatLsn(server.insert_lsn);
    result["flush_lsn"] = FormatLsn(server.flush_lsn);
  } else if (server.role == Role::kReplica) {
    result["receive_lsn"] = FormatLsn(server.receive_lsn);
    result["replay_lsn"] = FormatLsn(server.replay_lsn);
    result["streaming"] = server.streaming;
    result["sync_state"] = SyncStateName(server.sync_state);
    result["lag_bytes"] = view.primary ? json(server.lag_bytes) : json(nullptr);
    result["lag_ms"] =
        view.primary ? json(static_cast<double>(server.lag_time.count()) / 1000) : json(nullptr);
  }
  return result;
}

// The text under `key`; `fallback` if absent. Faults go to `problem`.
std::string TextField(const json& body, const char* key, const std::string& fallback, bool required,
                      std::string& problem) {
  const auto at = body.find(key);
  if (at == body.end()) {
    if (required) problem = std::string("found no \"") + key + "\", expected a text";
    return fallback;
  }
  if (!at->is_string()) {
    problem = std::string("found ") + at->type_name() + " as \"" + key + "\", expected a text";
    return fallback;
  }
  auto text = at->get<std::string>();
  if (text.find('\0') != std::string::npos)
    problem = std::string("\"") + key + "\" contains a NUL character";
  return text;
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
      {"GET", "/metrics", "for Prometheus", &AdminApi::Metrics},
      {"GET", "/healthz", "200 while the process lives", &AdminApi::Health},
      {"GET", "/readyz", "200 while statements can be served, else 503 and why", &AdminApi::Ready},
      {"GET", "/api/v1/status", "the state in short", &AdminApi::Status},
      {"GET", "/api/v1/servers", "each server: role, lag, whether it may be read from and why not",
       &AdminApi::Servers},
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
  const json body = {
      {"type", "about:blank"}, {"title", title}, {"status", status}, {"detail", detail}};
  return {status, kProblem, Dump(body) + "\n", ""};
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
    if (allow.empty())
      return Problem(404, "Not found", "There is no such path; GET / lists what there is.");
    AdminResponse response = Problem(405, "Method not allowed", "This path takes " + allow + ".");
    response.allow = allow;
    return response;
  } catch (...) {
    return {500, kProblem,
            "{\"type\":\"about:blank\",\"title\":\"Internal error\",\"status\":500}\n", ""};
  }
}

void AdminApi::Count(std::string_view method, std::string_view path, int status) {
  const auto& routes = Routes();
  const bool known =
      std::any_of(routes.begin(), routes.end(), [&](const Route& r) { return r.path == path; });
  const bool common = method == "GET" || method == "HEAD" || method == "POST" || method == "PUT" ||
                      method == "PATCH" || method == "DELETE" || method == "OPTIONS";
  const std::lock_guard lock(mutex_);
  ++requests_[{known ? std::string(path) : "other", common ? std::string(method) : "other",
               status}];
}

AdminResponse AdminApi::Metrics(const AdminRequest&) {
  return {200, "text/plain; version=0.0.4; charset=utf-8", exporter_.Text(), ""};
}

AdminResponse AdminApi::Health(const AdminRequest&) {
  return {200, kText, "ok\n", ""};
}

AdminResponse AdminApi::Ready(const AdminRequest&) {
  const std::string why = WhyNotReady(sources_.view(), sources_.run());
  if (why.empty()) return {200, kText, "ok\n", ""};
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
  const auto now = std::chrono::system_clock::now();
  json clients = {{"max", run.max_clients}};
  for (std::size_t i = 0; i < label_values::kClientState.size(); ++i)
    clients[std::string(label_values::kClientState[i])] =
        Sum(sources_.threads, Gauge::kClientConnections, i);
  json warnings = json::array();
  const std::string not_ready = WhyNotReady(view, run);
  if (!not_ready.empty()) warnings.push_back(not_ready);
  if (!run.reload_ok)
    warnings.push_back("the last reload failed, the old configuration stays: " + run.reload_error);
  json result = {{"version", WAYPOST_VERSION},
                 {"ready", not_ready.empty()},
                 {"draining", run.draining},
                 {"uptime_seconds", std::chrono::duration<double>(now - started_).count()},
                 {"workers", run.workers},
                 {"clients", std::move(clients)},
                 {"queries_total", SumAll(sources_.threads, Counter::kQueries)},
                 {"config",
                  {{"path", run.config_path},
                   {"loaded_at_unix_seconds", UnixSeconds(run.config_loaded)},
                   {"last_reload_ok", run.reload_ok}}}};
  unsigned replicas = 0, eligible = 0;
  result["primary"] = nullptr;
  if (view) {
    if (view->primary) result["primary"] = view->servers[*view->primary].name;
    for (const ServerView& server : view->servers) {
      replicas += server.role == Role::kReplica && !server.removed ? 1 : 0;
      eligible += server.eligible ? 1 : 0;
      if (!server.removed && !server.error.empty())
        warnings.push_back(server.name + ": " + server.error);
    }
    if (replicas > 0 && !view->sync_guarantee)
      warnings.push_back("no strict read from replicas: " + view->sync_guarantee_why);
  }
  result["replicas"] = replicas;
  result["replicas_eligible"] = eligible;
  result["sync_guarantee"] = view && view->sync_guarantee;
  result["sync_guarantee_why"] =
      view && view->sync_guarantee ? json(nullptr)
                                   : json(view ? view->sync_guarantee_why : "nothing is known yet");
  result["warnings"] = std::move(warnings);
  return Json(result);
}

AdminResponse AdminApi::Servers(const AdminRequest&) {
  const View view = sources_.view();
  json servers = json::array();
  if (view)
    for (ServerId id = 0; id < view->servers.size(); ++id)
      if (!view->servers[id].removed)
        servers.push_back(ServerJson(view->servers[id], id, *view, sources_));
  return Json({{"servers", std::move(servers)}});
}

AdminResponse AdminApi::AskRoute(const AdminRequest& request) {
  const json body = json::parse(request.body, nullptr, false);
  if (body.is_discarded()) return Problem(400, "Bad JSON", "The body is not valid JSON.");
  if (!body.is_object())
    return Problem(400, "Bad request",
                   std::string("found ") + body.type_name() + ", expected an object");
  std::string problem;
  RouteQuestion question;
  question.user = TextField(body, "user", "", false, problem);
  question.database = TextField(body, "database", sources_.default_database, false, problem);
  question.sql = TextField(body, "sql", "", true, problem);
  question.search_path = TextField(body, "search_path", "", false, problem);
  question.application_name = TextField(body, "application_name", "", false, problem);
  for (const auto& [key, value] : body.items())
    if (key != "sql" && key != "database" && key != "user" && key != "search_path" &&
        key != "application_name")
      problem = "unknown field \"" + key + "\"";
  if (!problem.empty()) return Problem(400, "Bad request", problem);
  if (!sources_.route) return Problem(503, "Not ready", "routing is not running yet");
  const RouteAnswer answer = sources_.route(question);
  const auto text = [](const std::string& value) {
    return value.empty() ? json(nullptr) : json(value);
  };
  json statements = json::array();
  for (const RouteStatement& statement : answer.statements)
    statements.push_back({{"sql", statement.sql},
                          {"class", statement.cls},
                          {"reason", statement.reason},
                          {"path", statement.path},
                          {"pin", text(statement.pin)}});
  return Json({{"database", question.database},
               {"user", text(question.user)},
               {"target", answer.target},
               {"server", text(answer.server)},
               {"class", answer.cls},
               {"reason", answer.reason},
               {"path", answer.path},
               {"pin", text(answer.pin)},
               {"no_replica", answer.no_replica},
               {"statements", std::move(statements)}});
}

void AdminApi::AddOwnMetrics(ScrapeOutput& output) {
  if (const View view = sources_.view()) AddClusterMetrics(*view, Clock::now(), output);
  const RunStatus run = sources_.run();
  output.Add(Scraped::kClientConnectionsMax, run.max_clients);
  output.Add(Scraped::kBuildInfo, 1, {WAYPOST_VERSION, "gcc " __VERSION__, "15"});
  output.Add(Scraped::kStartTime, UnixSeconds(started_));
  output.Add(Scraped::kReloadSuccess, run.reload_ok ? 1 : 0);
  output.Add(Scraped::kReloadTimestamp, UnixSeconds(run.config_loaded));
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : requests_) {
    const auto& [path, method, status] = key;
    output.Add(Scraped::kAdminRequests, static_cast<double>(count),
               {path, method, std::to_string(status)});
  }
}

}  // namespace waypost
