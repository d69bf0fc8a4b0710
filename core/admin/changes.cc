// The requests that change something, and those that show what can be changed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/admin/api.h"
#include "core/admin/body.h"
#include "core/admin/json.h"
#include "core/base/log.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr const char* kJson = "application/json";
constexpr std::size_t kMaxEventsShown = AdminEvents::kKept;
constexpr std::uint64_t kMaxEventId = kMaxExactNumber;
constexpr unsigned kMaxPauseSeconds = 3600;
constexpr unsigned kMaxDeadlineSeconds = 7 * 24 * 3600;
constexpr unsigned kMaxWeight = 1000;

AdminResponse Answer(const json& body) {
  return {200, kJson, body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", ""};
}

AdminResponse Bad(std::string_view detail) { return AdminApi::Problem(400, "Bad request", detail); }
AdminResponse NotYet() { return AdminApi::Problem(503, "Not ready", "Waypost has not started yet."); }

json ChangesJson(const std::vector<ConfigChange>& changes) {
  json all = json::array();
  for (const auto& change : changes)
    all.push_back({{"key", change.key}, {"before", json::parse(change.before)}, {"after", json::parse(change.after)}});
  return all;
}

// Behind a pause of writes nothing begins on the primary but single reads; what is younger, on no connection that was held before, is one.
constexpr std::chrono::seconds kClocksDiffer{1};

// The session had begun what the pause holds, and is not at its end. What only ties it runs nothing.
bool IsPast(const SessionRow& session, bool all, Duration pause_age) {
  if (session.state == SessionState::kIdle || session.state == SessionState::kLogin) return false;
  constexpr std::array<Reason, 4> kHoldsOn = {Reason::kInTransaction, Reason::kReadOnlyTransaction, Reason::kSessionPinned,
                                              Reason::kSessionMode};
  const bool holds_on =
      session.state != SessionState::kActive || std::find(kHoldsOn.begin(), kHoldsOn.end(), session.reason) != kHoldsOn.end();
  return all || holds_on || session.state_age + kClocksDiffer >= pause_age;
}

// How many had: they hold a connection, or wait for one in a pool; or the client has gone, and what it began is being cancelled. Null: a worker did not answer. The pools are asked first, so that
// whoever gets a connection meanwhile is not missed.
json Running(const Census& census, const ClusterView& view, const ClusterPause& pause) {
  const auto pause_age = std::chrono::duration_cast<Duration>(std::chrono::system_clock::now() - pause.since);
  const bool all = pause.what == "all";
  const auto pools = census.Pools();
  if (pools.workers_missing != 0) return nullptr;
  std::size_t running = 0;
  for (const auto& pool : pools.pools)
    if (all || pool.role == Role::kPrimary) running += pool.waiting;
  for (std::size_t id = 0; id < view.servers.size(); ++id) {
    if (!all && view.primary != id) continue;
    const auto report = census.Sessions({.server = view.servers[id].name, .limit = SIZE_MAX});
    if (report.workers_missing != 0) return nullptr;
    running += static_cast<std::size_t>(std::count_if(report.sessions.begin(), report.sessions.end(),
                                                      [&](const auto& session) { return IsPast(session, all, pause_age); }));
  }
  const auto report = census.Connections();
  if (report.workers_missing != 0) return nullptr;
  for (const auto& connection : report.connections)
    if (connection.state == ConnectionState::kCancelling &&
        (all || (view.primary && connection.server == view.servers[*view.primary].name)))
      ++running;
  return running;
}

json Tied(const Census& census) {
  const auto report = census.Sessions({.pinned = true, .limit = 0});
  return report.workers_missing == 0 ? json(report.total) : json(nullptr);
}

}  // namespace

std::string EventText(const AdminEvent& event) {
  return "id: " + std::to_string(event.id) + "\nevent: " + event.kind +
         "\ndata: " + EventJson(event).dump(-1, ' ', false, json::error_handler_t::replace) + "\n\n";
}

// One line a change: who, from where, what, and from what to what.
void AdminApi::Audit(const AdminRequest& request, const std::string& what, const std::string& before, const std::string& after) {
  const auto& who = request.who;
  Log(LogLevel::kInfo, "admin_change",
      {{"who", who.name},
       {"role", AdminRoleName(who.role)},
       {"via", who.via},
       {"from", request.peer.name},
       {"what", what},
       {"before", before},
       {"after", after}});
  if (sources_.events != nullptr)
    sources_.events->Add("change", "info",
                         what + ": " + before + " -> " + after + " (" + (who.name.empty() ? who.via : who.name) + ")");
}

AdminResponse AdminApi::Me(const AdminRequest& request) {
  const auto& who = request.who;
  return Answer(
      {{"role", AdminRoleName(who.role)}, {"name", who.name}, {"via", who.via.empty() ? json(nullptr) : json(who.via)}});
}

AdminResponse AdminApi::LogIn(const AdminRequest& request) {
  // Else a page of somebody else's could try wrong tokens from the browser of an administrator, and lock him out.
  if (!request.credentials.own_header)
    return Problem(403, "Forbidden", "A log-in needs the header X-Waypost, which no foreign page can send.");
  const auto body = ReadBody(request.body, {"token"});
  if (!body) return Bad(body.error());
  if (!body->contains("token") || !(*body)["token"].is_string()) return Bad("expected {\"token\": \"...\"}");
  if (sources_.access == nullptr) return NotYet();
  const auto login = sources_.access->LogIn(request.peer, (*body)["token"].get<std::string>(), Clock::now());
  if (login.status != 0) return Denied(login);
  Log(LogLevel::kInfo, "admin_login",
      {{"who", login.who.name}, {"role", AdminRoleName(login.who.role)}, {"from", request.peer.name}});
  AdminResponse response{204, "", "", ""};
  response.headers.emplace_back("Set-Cookie",
                                std::string(kSessionCookie) + "=" + login.session + "; Path=/; HttpOnly; SameSite=Strict");
  return response;
}

AdminResponse AdminApi::LogOut(const AdminRequest& request) {
  if (sources_.access != nullptr && !request.credentials.session.empty()) sources_.access->LogOut(request.credentials.session);
  AdminResponse response{204, "", "", ""};
  response.headers.emplace_back("Set-Cookie", std::string(kSessionCookie) + "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
  return response;
}

AdminResponse AdminApi::ChangeServer(const AdminRequest& request) {
  const auto body = ReadBody(request.body, {"intent", "weight", "deadline_s"});
  if (!body) return Bad(body.error());
  std::string problem;
  IntentWish wish;
  if (const auto intent = ChoiceIn(*body, "intent", {"active", "drain", "maintenance"}, problem))
    wish.intent = ParseIntent(*intent);
  wish.weight = NumberIn(*body, "weight", 0, kMaxWeight, problem);
  if (const auto deadline = NumberIn(*body, "deadline_s", 0, kMaxDeadlineSeconds, problem))
    wish.deadline = std::chrono::seconds(*deadline);
  if (problem.empty() && !wish.intent && !wish.weight) problem = "expected \"intent\" or \"weight\"";
  if (problem.empty() && wish.deadline && (!wish.intent || *wish.intent == Intent::kActive))
    problem = "\"deadline_s\" goes with \"intent\": \"drain\" or \"maintenance\"";
  if (!problem.empty()) return Bad(problem);
  if (!sources_.set_intent) return NotYet();
  const auto find = [&](const View& view) -> const ServerView* {
    if (!view) return nullptr;
    const auto at = std::find_if(view->servers.begin(), view->servers.end(),
                                 [&](const auto& server) { return server.name == request.argument && !server.removed; });
    return at == view->servers.end() ? nullptr : &*at;
  };
  const auto view = sources_.view();
  const auto* server = find(view);
  if (server == nullptr) return Problem(404, "Not found", "There is no server called \"" + request.argument + "\".");
  const auto words = [](const ServerView& of) {
    return std::string(IntentName(of.intent)) + " weight " + std::to_string(of.weight);
  };
  const auto before = words(*server);
  if (const auto done = sources_.set_intent(request.argument, wish); done.status != 200)
    return Problem(done.status, done.status == 409 ? "Conflict" : "Not done", done.detail);
  const auto then = sources_.view();
  const auto* now = find(then);
  if (now == nullptr) return Problem(404, "Not found", "The server has just been removed.");
  Audit(request, "server " + request.argument, before, words(*now));
  return {200, kJson,
          OneServerJson(request.argument, then, sources_.fence ? sources_.fence() : FenceReport(), sources_.threads,
                        CurrentDeadlines()),
          ""};
}

AdminResponse AdminApi::PauseCluster(const AdminRequest& request) {
  const auto body = ReadBody(request.body, {"what", "limit_s"});
  if (!body) return Bad(body.error());
  std::string problem;
  const auto what = ChoiceIn(*body, "what", {"writes", "all"}, problem).value_or("writes");
  const auto limit = NumberIn(*body, "limit_s", 1, kMaxPauseSeconds, problem).value_or(60);
  if (!problem.empty()) return Bad(problem);
  if (!sources_.pause || !sources_.paused) return NotYet();
  const auto before = sources_.paused();
  sources_.pause(what, std::chrono::seconds(limit));
  Audit(request, "pause", before ? before->what : "none", what + " for at most " + std::to_string(limit) + " s");
  return Cluster(request);
}

AdminResponse AdminApi::ResumeCluster(const AdminRequest& request) {
  if (const auto body = ReadBody(request.body, {}); !body) return Bad(body.error());
  if (!sources_.resume || !sources_.paused) return NotYet();
  const auto before = sources_.paused();
  const auto gated = sources_.gates ? sources_.gates() : std::vector<GatedDatabase>();
  sources_.resume();
  if (before) Audit(request, "pause", before->what, "none");
  for (const auto& database : gated)
    if (database.held_until) Audit(request, "pause of database " + database.name, "paused", "none");
  return Cluster(request);
}

AdminResponse AdminApi::Cluster(const AdminRequest&) {
  const auto view = sources_.view();
  const auto paused = sources_.paused ? sources_.paused() : std::nullopt;
  json result = {{"paused", nullptr},
                 {"primary", nullptr},
                 {"timeline", nullptr},
                 {"held_statements", sources_.run().held_statements},
                 {"databases", json::array()}};
  for (const auto& database : sources_.gates ? sources_.gates() : std::vector<GatedDatabase>())
    result["databases"].push_back({{"name", database.name},
                                   {"held_until", database.held_until ? json(Rfc3339(*database.held_until)) : json(nullptr)},
                                   {"disabled", database.disabled}});
  if (paused)
    result["paused"] = {
        {"what", paused->what},
        {"since", Rfc3339(paused->since)},
        {"until", Rfc3339(paused->until)},
        {"held", sources_.run().held_statements},
        {"running", sources_.census != nullptr && view ? Running(*sources_.census, *view, *paused) : json(nullptr)},
        {"tied", sources_.census != nullptr ? Tied(*sources_.census) : json(nullptr)}};
  if (view) {
    result["primary_changes"] = view->successions;
    if (view->primary) {
      result["primary"] = view->servers[*view->primary].name;
      result["timeline"] = view->servers[*view->primary].timeline;
    }
  }
  return Answer(result);
}

AdminResponse AdminApi::ResetDigests(const AdminRequest& request) {
  if (!sources_.reset_digests) return NotYet();
  sources_.reset_digests();
  Audit(request, "digests", "counted", "reset");
  return {204, "", "", ""};
}

AdminResponse AdminApi::ShowRules(const AdminRequest&) {
  const auto config = sources_.config ? sources_.config() : nullptr;
  if (!config) return NotYet();
  const auto names = sources_.rules ? sources_.rules() : std::vector<std::string>();
  json rules = json::array();
  const auto& all = config->rules.rules();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& rule = all[i];
    const auto id = static_cast<std::size_t>(std::find(names.begin(), names.end(), rule.name) - names.begin());
    std::uint64_t matches = 0;
    if (id < names.size())
      for (const auto* thread : sources_.threads) matches += thread->Read(Counter::kRuleMatches, id);
    static constexpr std::array<const char*, 3> kRoutes = {"primary", "replica", "deny"};
    rules.push_back(
        {{"name", rule.name},
         {"index", i},
         {"matches", matches},
         {"target", rule.route ? json(kRoutes.at(static_cast<std::size_t>(*rule.route))) : json(nullptr)},
         {"timeout_s", rule.timeout.count() > 0 ? json(static_cast<double>(rule.timeout.count()) / 1000) : json(nullptr)},
         {"tables", rule.tables},
         {"functions", rule.functions},
         {"users", rule.users},
         {"databases", rule.databases},
         {"applications", rule.applications},
         {"listeners", rule.listeners},
         {"hints", rule.hints}});
  }
  return Answer({{"rules", std::move(rules)}});
}

AdminResponse AdminApi::ShowConfig(const AdminRequest&) {
  if (!sources_.config_values) return NotYet();
  const auto run = sources_.run();
  json values = json::array();
  for (const auto& value : sources_.config_values())
    values.push_back({{"key", value.key},
                      {"value", json::parse(ShownJson(value))},
                      {"source", value.line > 0 ? run.config_path + ":" + std::to_string(value.line) : std::string("default")}});
  return Answer({{"path", run.config_path}, {"loaded_at", Rfc3339(run.config_loaded)}, {"values", std::move(values)}});
}

AdminResponse AdminApi::ReloadConfig(const AdminRequest& request) {
  const auto body = ReadBody(request.body, {"dry_run"});
  if (!body) return Bad(body.error());
  if (body->contains("dry_run") && !(*body)["dry_run"].is_boolean()) return Bad("expected true or false as \"dry_run\"");
  if (!sources_.reload) return NotYet();
  const bool dry_run = body->value("dry_run", false);
  const auto report = sources_.reload(dry_run);
  if (!report.error.empty()) return Problem(422, "The configuration is wrong", report.error);
  auto result = json{{"changed", ChangesJson(report.changed)}, {"restart_needed", report.restart_needed}, {"applied", !dry_run}};
  if (!dry_run) Audit(request, "configuration", "as loaded before", ChangedKeys(report.changed));
  return Answer(result);
}

AdminResponse AdminApi::ShowLog(const AdminRequest&) {
  if (!sources_.log_level) return NotYet();
  return Answer({{"level", sources_.log_level()}});
}

AdminResponse AdminApi::ChangeLog(const AdminRequest& request) {
  const auto body = ReadBody(request.body, {"level"});
  if (!body) return Bad(body.error());
  std::string problem;
  auto level = ChoiceIn(*body, "level", {"trace", "debug", "info", "warn", "warning", "error"}, problem);
  if (problem.empty() && !level) problem = R"(expected {"level": "trace|debug|info|warning|error"})";
  if (!problem.empty()) return Bad(problem);
  if (!sources_.log_level || !sources_.set_log_level) return NotYet();
  const auto before = sources_.log_level();
  sources_.set_log_level(*level);
  Audit(request, "log level", before, sources_.log_level());
  return ShowLog(request);
}

AdminResponse AdminApi::ListEvents(const AdminRequest& request) {
  if (sources_.events == nullptr) return NotYet();
  std::uint64_t since = 0;
  std::size_t limit = 100;
  for (const auto& [key, value] : request.query) {
    const auto number = NumberOf(value);
    if (key != "since" && key != "limit") return Bad("unknown parameter \"" + key + "\", expected since or limit");
    const auto low = key == "limit" ? 1 : 0;
    const auto high = key == "limit" ? kMaxEventsShown : kMaxEventId;
    if (!number || *number < static_cast<std::uint64_t>(low) || *number > high)
      return Bad("found " + key + " = \"" + value + "\", expected a whole number from " + std::to_string(low) + " to " +
                 std::to_string(high));
    (key == "since" ? since : limit) = *number;
  }
  // Without `since`: the newest.
  if (!request.query.contains("since")) {
    const auto last = sources_.events->last();
    since = last > limit ? last - limit : 0;
  }
  json events = json::array();
  for (const auto& event : sources_.events->After(since, limit)) events.push_back(EventJson(event));
  return Answer({{"events", std::move(events)}, {"last", sources_.events->last()}});
}

}  // namespace waypost
