#include "core/admin/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "parser/sql/fingerprint.h"
#include "routing/decide.h"
#include "routing/health.h"
#include "routing/intents.h"

namespace waypost {
namespace {

using nlohmann::json;

// Bytes that are not UTF-8 (an error text of a server in another encoding) are replaced, not thrown
// at.
std::string Dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

double UnixSeconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

template <class Metric>  // Gauge or Counter
std::int64_t Sum(const std::vector<const WorkerMetrics*>& threads, Metric metric, LabelIndex first, LabelIndex second = 0) {
  std::int64_t sum = 0;
  for (const WorkerMetrics* thread : threads) sum += static_cast<std::int64_t>(thread->Read(metric, first, second));
  return sum;
}

std::uint64_t SumAll(const std::vector<const WorkerMetrics*>& threads, Counter counter) {
  const MetricInfo& info = kCounters[static_cast<std::size_t>(counter)];
  std::uint64_t sum = 0;
  for (const WorkerMetrics* thread : threads)
    for (std::size_t i = 0; i < InfoOf(info.labels[0]).capacity; ++i)
      for (std::size_t j = 0; j < InfoOf(info.labels[1]).capacity; ++j) sum += thread->Read(counter, i, j);
  return sum;
}

json TextOrNull(const std::string& value) { return value.empty() ? json(nullptr) : json(value); }

// Why reads under each policy that tells replicas apart do not go there; null: they may. What is not proved to be within
// the bounds of consistency = "bounded" is treated as strict.
json WhyNot(const ServerView& server, const ClusterView& view, const std::string& unproved) {
  const auto now = Clock::now();
  json result = json::object();
  for (const auto& [name, from] :
       {std::pair{"synchronous", ReadFrom::kSynchronous}, std::pair{"streaming", ReadFrom::kStreaming}}) {
    auto strict = WhyNotReadFrom(server, view, {.read_from = from}, now);
    if (strict.empty()) strict = unproved;
    const auto eventual = WhyNotReadFrom(server, view, {.read_from = from, .consistency = Consistency::kEventual}, now);
    result[name] = {{"strict", TextOrNull(strict)}, {"eventual", TextOrNull(eventual)}};
  }
  return result;
}

void AddReplica(const ServerView& server, ServerId id, const ClusterView& view, const FenceReport& report, json& result) {
  const auto fence = id < report.servers.size() ? report.servers[id] : FenceReport::Server{};
  const auto now = Clock::now();
  const auto replay = std::max(server.replay_lsn, fence.replay);
  result["receive_lsn"] = FormatLsn(server.receive_lsn);
  result["replay_lsn"] = FormatLsn(replay);
  result["streaming"] = server.streaming;
  result["sync_state"] = SyncStateName(server.sync_state);
  result["lag_bytes"] = view.primary ? json(server.lag_bytes) : json(nullptr);
  result["lag_ms"] = view.primary ? json(static_cast<double>(server.lag_time.count()) / 1000) : json(nullptr);
  const auto position = report.position;
  result["read_index"] = report.open > 0 ? json(FormatLsn(position)) : json(nullptr);
  result["read_index_distance_bytes"] =
      report.open > 0 ? json(position > replay ? position.value - replay.value : 0) : json(nullptr);
  result["fresh_age_ms"] = server.fresh_as_of == TimePoint{}
                               ? json(nullptr)
                               : json(std::chrono::duration_cast<milliseconds>(now - server.fresh_as_of).count());
  result["workers_proving"] = fence.proving;
  auto& refuses = result["refuses"] = json::array();
  for (const auto& one : report.refusals)
    if (one.server == id) refuses.push_back({{"database", one.database}, {"user", one.user}, {"error", one.error}});
  result["why_not"] = WhyNot(server, view, report.WhyUnproved(id));
  result["sync_guarantee"] = server.sync_guarantee;
  const auto why = server.sync_guarantee  ? ""
                   : !view.sync_guarantee ? view.sync_guarantee_why
                   : !server.eligible     ? server.ineligible_why
                                          : "not one of the synchronous standbys";
  result["sync_guarantee_why"] = TextOrNull(why);
}

json ServerJson(const ServerView& server, ServerId id, const ClusterView& view, const FenceReport& fence,
                const std::vector<const WorkerMetrics*>& threads, const Deadlines& deadlines) {
  json connections = json::object();
  for (std::size_t i = 0; i < label_values::kServerConnState.size(); ++i)
    connections[std::string(label_values::kServerConnState[i])] = Sum(threads, Gauge::kServerConnections, id, i);
  const auto busy = Sum(threads, Gauge::kServerConnections, id, static_cast<LabelIndex>(ServerConnState::kActive));
  const auto left = busy + Sum(threads, Gauge::kServerConnections, id, static_cast<LabelIndex>(ServerConnState::kIdle)) +
                    Sum(threads, Gauge::kServerConnections, id, static_cast<LabelIndex>(ServerConnState::kConnecting));
  connections["busy"] = busy;
  connections["max"] = server.max_connections;
  connections["waiting_sessions"] = Sum(threads, Gauge::kPoolWaiting, id);
  json result = {{"name", server.name},     {"host", server.host},
                 {"port", server.port},     {"found_by", server.found_by.empty() ? "configuration" : server.found_by},
                 {"up", server.up},         {"role", RoleName(server.role)},
                 {"weight", server.weight}, {"intent", IntentName(server.intent)},
                 {"sessions", busy},        {"connections", std::move(connections)}};
  result["draining"] = nullptr;
  if (server.intent != Intent::kActive) {
    const auto deadline = deadlines.find(server.name);
    result["draining"] = {{"left", left},
                          {"deadline", deadline == deadlines.end() ? json(nullptr) : json(Rfc3339(deadline->second))}};
  }
  result["error"] = server.error.empty() ? json(nullptr) : json(server.error);
  result["eligible"] = server.eligible;
  result["ineligible_why"] = server.eligible ? json(nullptr) : json(server.ineligible_why);
  const bool sampled = server.sampled != TimePoint{};
  result["sample_age_ms"] =
      sampled ? json(std::chrono::duration_cast<milliseconds>(Clock::now() - server.sampled).count()) : json(nullptr);
  result["timeline"] = sampled ? json(server.timeline) : json(nullptr);
  // A string: JSON readers lose digits of a number this large.
  result["system_identifier"] = sampled ? json(std::to_string(server.system_identifier)) : json(nullptr);
  if (server.role == Role::kPrimary) {
    result["insert_lsn"] = FormatLsn(server.insert_lsn);
    result["flush_lsn"] = FormatLsn(server.flush_lsn);
  } else if (server.role == Role::kReplica) {
    AddReplica(server, id, view, fence, result);
    auto& checks = result["self_checks"] = json::object();
    for (std::size_t i = 0; i < label_values::kSelfCheckOutcome.size(); ++i)
      checks[std::string(label_values::kSelfCheckOutcome[i])] = Sum(threads, Counter::kSelfChecks, id, i);
  }
  return result;
}

// The text under `key`; `fallback` if absent. Faults go to `problem`.
std::string TextField(const json& body, const char* key, const std::string& fallback, bool required, std::string& problem) {
  const auto at = body.find(key);
  if (at == body.end()) {
    if (required) problem = std::string("found no \"") + key + "\", expected a string";
    return fallback;
  }
  if (!at->is_string()) {
    problem = std::string("found ") + at->type_name() + " as \"" + key + "\", expected a string";
    return fallback;
  }
  auto text = at->get<std::string>();
  if (text.find('\0') != std::string::npos) problem = std::string("\"") + key + "\" contains a NUL character";
  return text;
}

double Milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double Share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

std::string_view ReadFromName(ReadFrom from) {
  switch (from) {
    case ReadFrom::kSynchronous: return "synchronous";
    case ReadFrom::kStreaming: return "streaming";
    case ReadFrom::kNone: return "none";
  }
  return "";
}

std::string Percent(double share) {
  const auto percent = std::lround(share * 100);
  return (percent == 0 && share > 0 ? "less than 1" : std::to_string(percent)) + " %";
}

constexpr std::array<std::pair<std::string_view, DigestOrder>, 5> kOrders = {{{"calls", DigestOrder::kCalls},
                                                                              {"time", DigestOrder::kTime},
                                                                              {"rows", DigestOrder::kRows},
                                                                              {"errors", DigestOrder::kErrors},
                                                                              {"fallbacks", DigestOrder::kFallbacks}}};
constexpr std::size_t kMaxDigestsShown = 100'000;

double OrderKey(const Digest& digest, DigestOrder order) {
  switch (order) {
    case DigestOrder::kCalls: return static_cast<double>(digest.calls);
    case DigestOrder::kTime: return Milliseconds(digest.total);
    case DigestOrder::kRows: return static_cast<double>(digest.rows);
    case DigestOrder::kErrors: return static_cast<double>(digest.errors);
    case DigestOrder::kFallbacks: return static_cast<double>(digest.fallbacks + digest.reruns);
  }
  return 0;
}

json DigestJson(const Digest& digest) {
  const auto now = std::chrono::system_clock::now();
  const auto seen = now - std::chrono::duration_cast<std::chrono::system_clock::duration>(Clock::now() - digest.last_seen);
  const auto calls = std::max<std::uint64_t>(digest.calls, 1);
  return {{"fingerprint", digest.fingerprint ? json(FingerprintText(*digest.fingerprint)) : json(nullptr)},
          {"text", *digest.text},
          {"database", digest.database},
          {"user", digest.user},
          {"class", ClassName(digest.cls)},
          {"verdict", ReasonName(digest.verdict)},
          {"path", *digest.path},
          {"calls", digest.calls},
          {"rows", digest.rows},
          {"errors", digest.errors},
          {"total_ms", Milliseconds(digest.total)},
          {"mean_ms", Milliseconds(digest.total) / static_cast<double>(calls)},
          {"max_ms", Milliseconds(digest.max)},
          {"on_primary", digest.on_primary},
          {"on_replica", digest.on_replica},
          {"held", digest.held},
          {"fallbacks", digest.fallbacks},
          {"reruns", digest.reruns},
          {"would_move", digest.would_move},
          {"last_reason", ReasonName(digest.last_reason)},
          {"last_seen_unix_seconds", UnixSeconds(seen)}};
}

}  // namespace

std::string ProblemJson(int status, std::string_view title, std::string_view detail) {
  return Dump({{"type", "about:blank"}, {"title", title}, {"status", status}, {"detail", detail}});
}

std::string IndexJson(const std::vector<Endpoint>& endpoints) {
  json list = json::array();
  for (const auto& [method, path, about] : endpoints) list.push_back({{"method", method}, {"path", path}, {"about", about}});
  return Dump({{"version", WAYPOST_VERSION}, {"endpoints", std::move(list)}});
}

std::string StatusJson(const StatusFacts& status) {
  const auto& [view, run, threads, not_ready, kept_reads, started] = status;
  const auto now = std::chrono::system_clock::now();
  json clients = {{"max", run.max_clients}};
  for (std::size_t i = 0; i < label_values::kClientState.size(); ++i)
    clients[std::string(label_values::kClientState[i])] = Sum(threads, Gauge::kClientConnections, i);
  json warnings = json::array();
  if (!not_ready.empty()) warnings.push_back(not_ready);
  if (!kept_reads.empty()) warnings.push_back(kept_reads);
  const auto& found = run.discovery;
  if (!found.error.empty()) warnings.push_back(found.source + ": the servers stay as they are: " + found.error);
  if (!found.contradiction.empty()) warnings.push_back(found.source + ": " + found.contradiction);
  if (!run.reload_ok) warnings.push_back("the last reload failed; the old configuration stays in force: " + run.reload_error);
  json result = {{"version", WAYPOST_VERSION},
                 {"ready", not_ready.empty()},
                 {"draining", run.draining},
                 {"uptime_seconds", std::chrono::duration<double>(now - started).count()},
                 {"workers", run.workers},
                 {"read_from", ReadFromName(run.read_from)},
                 {"clients", std::move(clients)},
                 {"queries_total", SumAll(threads, Counter::kQueries)},
                 {"config",
                  {{"path", run.config_path},
                   {"loaded_at_unix_seconds", UnixSeconds(run.config_loaded)},
                   {"last_reload_ok", run.reload_ok}}}};
  result["discovery"] = nullptr;
  if (!found.source.empty())
    result["discovery"] = {
        {"source", found.source},           {"from", TextOrNull(found.from)},
        {"servers", found.listed},          {"at_unix_seconds", found.from.empty() ? json(nullptr) : json(UnixSeconds(found.at))},
        {"error", TextOrNull(found.error)}, {"contradiction", TextOrNull(found.contradiction)}};
  unsigned replicas = 0, eligible = 0;
  result["primary"] = nullptr;
  if (view) {
    if (view->primary) result["primary"] = view->servers[*view->primary].name;
    for (const ServerView& server : view->servers) {
      replicas += server.role == Role::kReplica && !server.removed ? 1 : 0;
      eligible += server.eligible ? 1 : 0;
      if (!server.removed && !server.error.empty()) warnings.push_back(server.name + ": " + server.error);
    }
    if (!view->commits_wait_why.empty()) warnings.push_back(view->commits_wait_why);
    if (!view->accepted_saved) warnings.push_back("the accepted primary is not written to state_file yet; the log says why");
    if (view->lost_bytes > 0)
      warnings.push_back("the present primary was promoted without the last " + std::to_string(view->lost_bytes) +
                         " bytes of WAL that the one before it had flushed");
    result["accepted"] = {{"system_identifier", std::to_string(view->accepted.system_identifier)},
                          {"timeline", view->accepted.timeline},
                          {"saved", view->accepted_saved}};
    result["primary_changes"] = view->successions;
    result["failover_lost_bytes"] = view->lost_bytes;
  }
  result["held_statements"] = run.held_statements;
  result["replicas"] = replicas;
  result["replicas_eligible"] = eligible;
  result["reads_on_primary_why"] = TextOrNull(kept_reads);
  result["sync_guarantee"] = view && view->sync_guarantee;
  result["sync_guarantee_why"] =
      view && view->sync_guarantee ? json(nullptr) : json(view ? view->sync_guarantee_why : "nothing is known yet");
  result["warnings"] = std::move(warnings);
  return Dump(result);
}

std::string ServersJson(const View& view, const FenceReport& fence, const std::vector<const WorkerMetrics*>& threads,
                        const Deadlines& deadlines) {
  json servers = json::array();
  if (view)
    for (ServerId id = 0; id < view->servers.size(); ++id)
      if (!view->servers[id].removed) servers.push_back(ServerJson(view->servers[id], id, *view, fence, threads, deadlines));
  return Dump({{"servers", std::move(servers)}});
}

std::string OneServerJson(const std::string& name, const View& view, const FenceReport& fence,
                          const std::vector<const WorkerMetrics*>& threads, const Deadlines& deadlines) {
  for (ServerId id = 0; view && id < view->servers.size(); ++id)
    if (view->servers[id].name == name) return Dump(ServerJson(view->servers[id], id, *view, fence, threads, deadlines));
  return "null\n";
}

std::string Rfc3339(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::duration_cast<milliseconds>(time - whole).count();
  const std::time_t at = std::chrono::system_clock::to_time_t(whole);
  std::tm parts{};
  gmtime_r(&at, &parts);
  std::array<char, 64> text{};
  const auto size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const auto fraction = std::to_string(1000 + millis).substr(1);
  return std::string(text.data(), size) + "." + fraction + "Z";
}

Result<RouteQuestion> ReadRouteQuestion(const std::string& text, const std::string& default_database) {
  const json body = json::parse(text, nullptr, false);
  if (body.is_discarded()) return Error{"The body is not valid JSON."};
  if (!body.is_object()) return Error{std::string("found ") + body.type_name() + ", expected an object"};
  std::string problem;
  RouteQuestion question;
  question.user = TextField(body, "user", "", false, problem);
  question.database = TextField(body, "database", default_database, false, problem);
  question.sql = TextField(body, "sql", "", true, problem);
  question.search_path = TextField(body, "search_path", "", false, problem);
  question.application_name = TextField(body, "application_name", "", false, problem);
  for (const auto& [key, value] : body.items())
    if (key != "sql" && key != "database" && key != "user" && key != "search_path" && key != "application_name")
      problem = "unknown field \"" + key + "\"";
  if (!problem.empty()) return Error{problem};
  return question;
}

std::string RouteJson(const RouteQuestion& question, const RouteAnswer& answer) {
  json statements = json::array();
  for (const RouteStatement& statement : answer.statements)
    statements.push_back({{"sql", statement.sql},
                          {"class", statement.cls},
                          {"reason", statement.reason},
                          {"path", statement.path},
                          {"pin", TextOrNull(statement.pin)}});
  return Dump({{"database", question.database},
               {"user", TextOrNull(question.user)},
               {"target", answer.target},
               {"server", TextOrNull(answer.server)},
               {"class", answer.cls},
               {"reason", answer.reason},
               {"path", answer.path},
               {"pin", TextOrNull(answer.pin)},
               {"no_replica", answer.no_replica},
               {"statements", std::move(statements)}});
}

Result<DigestQuestion> ReadDigestQuestion(const std::map<std::string, std::string>& query) {
  DigestQuestion question;
  for (const auto& [key, value] : query) {
    if (key == "sort") {
      const auto* found =
          std::find_if(kOrders.begin(), kOrders.end(), [&value = value](const auto& order) { return order.first == value; });
      if (found == kOrders.end()) return Error{"found sort = \"" + value + "\", expected calls, time, rows, errors or fallbacks"};
      question.order = found->second;
    } else if (key == "limit") {
      const auto* end = value.data() + value.size();
      const auto [at, error] = std::from_chars(value.data(), end, question.limit);
      if (error != std::errc() || at != end || question.limit == 0 || question.limit > kMaxDigestsShown)
        return Error{"found limit = \"" + value + "\", expected a number from 1 to " + std::to_string(kMaxDigestsShown)};
    } else {
      return Error{"unknown parameter \"" + key + "\", expected sort or limit"};
    }
  }
  return question;
}

std::string DigestsJson(DigestReport report, DigestQuestion question) {
  auto& all = report.digests;
  std::stable_sort(all.begin(), all.end(),
                   [&](const Digest& a, const Digest& b) { return OrderKey(a, question.order) > OrderKey(b, question.order); });
  json digests = json::array();
  for (std::size_t i = 0; i < std::min(question.limit, all.size()); ++i) digests.push_back(DigestJson(all[i]));
  return Dump({{"digests", std::move(digests)},
               {"known", all.size()},
               {"max_per_worker", report.max},
               {"evicted", report.evicted},
               {"uncounted", report.uncounted},
               {"workers_missing", report.workers_missing}});
}

std::string ShadowJson(const std::vector<const WorkerMetrics*>& threads, const DigestReport& report) {
  const auto count = [&](Would would, Reason reason) {
    std::uint64_t sum = 0;
    for (const auto* thread : threads) sum += thread->Read(Counter::kShadowStatements, would, reason);
    return sum;
  };
  std::uint64_t move = 0;
  std::uint64_t total = 0;
  std::vector<std::pair<std::uint64_t, Reason>> rest;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Reason::kCount); ++i) {
    const auto reason = static_cast<Reason>(i);
    const auto would_move = count(Would::kReplica, reason);
    const auto stays = count(Would::kPrimary, reason);
    move += would_move;
    total += would_move + stays;
    if (stays > 0) rest.emplace_back(stays, reason);
  }
  std::stable_sort(rest.begin(), rest.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  auto summary = total == 0 ? std::string("nothing was counted; counting needs read_from = \"none\"")
                            : Percent(Share(move, total)) + " of statements could run on replicas";
  json stays = json::array();
  for (const auto& [statements, reason] : rest) {
    // What most of them have in common, by the classes of statements that run most.
    std::map<std::string, std::uint64_t> paths;
    for (const auto& digest : report.digests)
      if (digest.verdict == reason && !digest.path->empty()) paths[*digest.path] += digest.calls;
    std::vector<std::pair<std::uint64_t, std::string>> top;
    for (const auto& [path, calls] : paths) top.emplace_back(calls, path);
    std::sort(top.rbegin(), top.rend());
    constexpr std::size_t kTop = 5;
    json shown = json::array();
    for (std::size_t i = 0; i < std::min(top.size(), kTop); ++i)
      shown.push_back({{"path", top[i].second}, {"calls", top[i].first}});
    summary += (stays.empty() ? "; of all, these could not: " : ", ") + std::string(ReasonName(reason)) + " " +
               Percent(Share(statements, total));
    if (!top.empty()) summary += " (top: " + top.front().second + ")";
    stays.push_back({{"reason", ReasonName(reason)},
                     {"statements", statements},
                     {"share", Share(statements, total)},
                     {"top", std::move(shown)}});
  }
  return Dump({{"summary", summary},
               {"statements", total},
               {"would_move", move},
               {"share", Share(move, total)},
               {"would_stay", std::move(stays)},
               {"workers_missing", report.workers_missing}});
}

}  // namespace waypost
