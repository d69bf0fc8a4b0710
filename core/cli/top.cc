#include "core/cli/top.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/cli/members.h"
#include "core/cli/render.h"
#include "core/cli/text_table.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxShownStatement = 200;
constexpr std::size_t kMaxRows = 100;  // of one part, in JSON

double SecondsBetween(const TopSample& before, const TopSample& now) {
  return std::max(0.001, std::chrono::duration<double>(now.at - before.at).count());
}

// Since a restart a counter may be less than it was.
double Since(double before, double now) { return now >= before ? now - before : now; }

// --- traffic

using Route = std::pair<std::string, std::string>;  // target, reason

std::string LabelIn(std::string_view labels, std::string_view name) {
  const auto at = labels.find(std::string(name) + "=\"");
  if (at == std::string_view::npos) return "";
  const auto begin = at + name.size() + 2;
  return std::string(labels.substr(begin, labels.find('"', begin) - begin));
}

// Of the lines `waypost_queries_total{reason="...",target="..."} 17`.
std::map<Route, double> Routes(std::string_view metrics) {
  constexpr std::string_view kName = "waypost_queries_total{";
  std::map<Route, double> routes;
  while (!metrics.empty()) {
    const auto line = metrics.substr(0, metrics.find('\n'));
    metrics.remove_prefix(std::min(line.size() + 1, metrics.size()));
    const auto end = line.find("} ");
    if (!line.starts_with(kName) || end == std::string_view::npos) continue;
    double count = 0;
    const auto value = line.substr(end + 2);
    if (std::from_chars(value.data(), value.data() + value.size(), count).ec != std::errc()) continue;
    routes[{LabelIn(line.substr(0, end), "target"), LabelIn(line.substr(0, end), "reason")}] += count;
  }
  return routes;
}

json Traffic(const TopSample& before, const TopSample& now) {
  const auto then = Routes(before.metrics);
  std::vector<json> routes;
  for (const auto& [route, count] : Routes(now.metrics)) {
    const auto found = then.find(route);
    const auto a_second = Since(found == then.end() ? 0 : found->second, count) / SecondsBetween(before, now);
    if (count > 0) routes.push_back({{"target", route.first}, {"reason", route.second}, {"per_s", a_second}, {"total", count}});
  }
  std::stable_sort(routes.begin(), routes.end(), [](const json& a, const json& b) { return a["per_s"] > b["per_s"]; });
  return routes;
}

// --- the rest

std::string DigestKey(const json& digest) {
  return TextAt(digest, "database") + '\0' + TextAt(digest, "user") + '\0' + TextAt(digest, "text");
}

// What ran between the samples, what took most time first.
json Digests(const TopSample& before, const TopSample& now) {
  const auto old = ReadObject(before.digests), young = ReadObject(now.digests);
  std::map<std::string, const json*> then;
  for (const auto& digest : ListAt(old, "digests")) then.emplace(DigestKey(digest), &digest);
  std::vector<json> ran;
  const auto seconds = SecondsBetween(before, now);
  for (const auto& digest : ListAt(young, "digests")) {
    const auto found = then.find(DigestKey(digest));
    const auto since = [&](const char* name) {
      const auto was = found == then.end() ? 0 : NumberAt(*found->second, name).value_or(0);
      return Since(was, NumberAt(digest, name).value_or(0));
    };
    const auto calls = since("calls");
    if (calls <= 0) continue;
    ran.push_back({{"statement", TextAt(digest, "text")},
                   {"database", TextAt(digest, "database")},
                   {"user", TextAt(digest, "user")},
                   {"verdict", TextAt(digest, "verdict")},
                   {"calls_per_s", calls / seconds},
                   {"ms_per_s", since("total_ms") / seconds},
                   {"mean_ms", since("total_ms") / calls},
                   {"primary_per_s", since("on_primary") / seconds},
                   {"replica_per_s", since("on_replica") / seconds},
                   {"errors_per_s", since("errors") / seconds}});
  }
  std::stable_sort(ran.begin(), ran.end(), [](const json& a, const json& b) { return a["ms_per_s"] > b["ms_per_s"]; });
  if (ran.size() > kMaxRows) ran.resize(kMaxRows);
  return ran;
}

// Those in use, where most wait first.
json Pools(const TopSample& now) {
  const auto answer = ReadObject(now.pools);
  std::vector<json> pools;
  for (const auto& pool : ListAt(answer, "pools"))
    if (NumberAt(pool, "waiting").value_or(0) + NumberAt(pool, "busy").value_or(0) + NumberAt(pool, "connecting").value_or(0) > 0)
      pools.push_back(pool);
  std::stable_sort(pools.begin(), pools.end(), [](const json& a, const json& b) {
    const auto key = [](const json& pool) {
      return std::pair(NumberAt(pool, "waiting").value_or(0), NumberAt(pool, "busy").value_or(0));
    };
    return key(a) > key(b);
  });
  if (pools.size() > kMaxRows) pools.resize(kMaxRows);
  return pools;
}

json Facts(const TopSample& before, const TopSample& now) {
  const auto status = ReadObject(now.status), cluster = ReadObject(now.cluster);
  auto traffic = Traffic(before, now);
  double total = 0;
  for (const auto& route : traffic) total += route["per_s"].get<double>();
  json facts = {{"interval_s", SecondsBetween(before, now)}, {"statements_per_s", total}, {"traffic", std::move(traffic)}};
  for (const auto* name : {"version", "uptime_seconds", "ready", "draining", "primary", "clients", "held_statements", "warnings"})
    facts[name] = At(status, name);
  facts["paused"] = At(cluster, "paused");
  facts["servers"] = ListAt(ReadObject(now.servers), "servers");
  facts["pools"] = Pools(now);
  const auto sessions = ReadObject(now.sessions);
  facts["waiting"] = ListAt(sessions, "sessions");
  facts["waiting_total"] = At(sessions, "total");
  facts["digests"] = Digests(before, now);
  return facts;
}

// --- as a screen

std::string Rate(const json& value, std::string_view path) {
  std::array<char, 64> text{};
  const auto rate = NumberAt(value, path).value_or(0);
  (void)std::snprintf(text.data(), text.size(), rate < 10 && rate > 0 ? "%.1f" : "%.0f", rate);
  return text.data();
}

std::vector<TopLine> LinesOf(const TextTable& table) {
  std::vector<TopLine> lines;
  const auto text = table.Text();
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    lines.push_back({text.substr(at, end - at), lines.empty()});
    at = end + 1;
  }
  return lines;
}

std::vector<TopLine> Head(const json& facts) {
  std::vector<TopLine> lines;
  const auto up = NumberAt(facts, "uptime_seconds");
  lines.push_back({"waypost " + TextAt(facts, "version") + ", up " +
                   (up ? RenderAge(std::chrono::seconds(static_cast<std::int64_t>(std::clamp(*up, 0.0, 1e9)))) : "-") + ", " +
                   (TrueAt(facts, "draining") ? "draining"
                    : TrueAt(facts, "ready")  ? "ready"
                                              : "NOT READY") +
                   ", primary " + Or(TextAt(facts, "primary"), "NONE")});
  lines.push_back({Rate(facts, "statements_per_s") + " batches/s, held " + Or(TextAt(facts, "held_statements"), "-") +
                   "; clients: " + RenderClients(At(facts, "clients"))});
  if (const auto& paused = At(facts, "paused"); paused.is_object())
    lines.push_back({"PAUSED: " + TextAt(paused, "what") + ", until " + TextAt(paused, "until")});
  for (const auto& warning : ListAt(facts, "warnings")) lines.push_back({"WARNING: " + Text(warning)});
  return lines;
}

std::vector<TopLine> ServerLines(const json& facts) {
  TextTable table({"SERVER", "ROLE", "UP", "INTENT", "LAG", "BUSY", "IDLE", "MAX", "WAITING", "WHY NOT"});
  for (const auto& server : ListAt(facts, "servers"))
    table.Add({TextAt(server, "name"), TextAt(server, "role"), TextAt(server, "up"), TextAt(server, "intent"),
               Milliseconds(NumberAt(server, "lag_ms")), TextAt(server, "connections/busy"), TextAt(server, "connections/idle"),
               TextAt(server, "connections/max"), TextAt(server, "connections/waiting_sessions"),
               Or(TextAt(server, "error"), TextAt(server, "ineligible_why"))});
  return LinesOf(table);
}

std::vector<TopLine> TrafficLines(const json& facts) {
  TextTable table({"BATCHES/S", "TARGET", "REASON", "IN ALL"});
  for (const auto& route : ListAt(facts, "traffic"))
    table.Add({Rate(route, "per_s"), TextAt(route, "target"), TextAt(route, "reason"), Rate(route, "total")});
  return LinesOf(table);
}

std::vector<TopLine> PoolLines(const json& facts) {
  TextTable table({"POOL", "USER", "DATABASE", "BUSY", "IDLE", "MAX", "WAITING"});
  for (const auto& pool : ListAt(facts, "pools"))
    table.Add({TextAt(pool, "server"), TextAt(pool, "user"), TextAt(pool, "database"), TextAt(pool, "busy"), TextAt(pool, "idle"),
               TextAt(pool, "max"), TextAt(pool, "waiting")});
  return LinesOf(table);
}

std::vector<TopLine> WaitingLines(const json& facts) {
  TextTable table({"WAITS", "USER", "DATABASE", "APPLICATION", "TARGET", "REASON", "STATEMENT"});
  for (const auto& session : ListAt(facts, "waiting"))
    table.Add({TextAt(session, "id"), TextAt(session, "user"), TextAt(session, "database"), TextAt(session, "application_name"),
               TextAt(session, "target"), TextAt(session, "reason"),
               Shortened(TextAt(session, "statement"), kMaxShownStatement)});
  return LinesOf(table);
}

std::vector<TopLine> DigestLines(const json& facts) {
  TextTable table({"MS/S", "CALLS/S", "MEAN", "PRIMARY/S", "REPLICA/S", "DATABASE", "VERDICT", "STATEMENT"});
  for (const auto& digest : ListAt(facts, "digests"))
    table.Add({Rate(digest, "ms_per_s"), Rate(digest, "calls_per_s"), Milliseconds(NumberAt(digest, "mean_ms")),
               Rate(digest, "primary_per_s"), Rate(digest, "replica_per_s"), TextAt(digest, "database"),
               TextAt(digest, "verdict"), Shortened(TextAt(digest, "statement"), kMaxShownStatement)});
  return LinesOf(table);
}

// How many lines each part gets of `rows`: what is small is whole, the others share what is left evenly.
std::vector<std::size_t> Shares(const std::vector<std::size_t>& wanted, std::size_t rows) {
  std::vector<std::size_t> got(wanted.size(), 0);
  for (std::size_t left = rows, given = 1; left > 0 && given > 0;) {
    given = 0;
    for (std::size_t i = 0; i < wanted.size() && left > 0; ++i)
      if (got[i] < wanted[i]) ++got[i], ++given, --left;
  }
  return got;
}

}  // namespace

std::string TopJson(const TopSample& before, const TopSample& now) {
  return Facts(before, now).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<TopLine> TopScreen(const TopSample& before, const TopSample& now, TopSize size) {
  const auto facts = Facts(before, now);
  std::vector<std::vector<TopLine>> parts = {Head(facts), ServerLines(facts)};
  if (!ListAt(facts, "waiting").empty()) parts.push_back(WaitingLines(facts));
  parts.push_back(TrafficLines(facts));
  if (!ListAt(facts, "pools").empty()) parts.push_back(PoolLines(facts));
  parts.push_back(DigestLines(facts));
  std::vector<std::size_t> wanted;
  for (auto& part : parts) {
    part.push_back({});  // a blank line behind each
    wanted.push_back(part.size());
  }
  const auto shares = size.rows == 0 ? wanted : Shares(wanted, size.rows);
  std::vector<TopLine> lines;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::size_t j = 0; j < shares[i]; ++j) {
      auto& line = parts[i][j];
      lines.push_back({Shortened(Harmless(line.text), size.columns), line.heading});
    }
  if (!lines.empty() && lines.back().text.empty()) lines.pop_back();
  return lines;
}

}  // namespace waypost
