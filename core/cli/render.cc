#include "core/cli/render.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/cli/members.h"
#include "core/cli/text_table.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr std::size_t kStatementCharacters = 60;

std::string AgeOf(std::optional<double> seconds) {
  return seconds ? RenderAge(std::chrono::seconds(std::llround(std::clamp(*seconds, 0.0, 1e9)))) : "";
}

// How long ago a time of RFC 3339 in UTC is.
std::string AgeSince(const std::string& time, WallTime now) {
  std::tm parts{};
  if (strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return "";
  const auto then = std::chrono::system_clock::from_time_t(timegm(&parts));
  return RenderAge(std::max(std::chrono::floor<std::chrono::seconds>(now - then), std::chrono::seconds(0)));
}

std::string Cut(std::string statement, bool whole) {
  auto line = Harmless(statement);
  return whole ? line : Shortened(line, kStatementCharacters);
}

std::string Line(std::string_view name, const std::string& value) {
  auto line = std::string(name) + ":";
  line.resize(std::max<std::size_t>(line.size() + 1, 11), ' ');
  return line + Harmless(value) + "\n";
}

std::string Missing(const json& answer) {
  const auto missing = NumberAt(answer, "workers_missing");
  return missing && *missing > 0
             ? "Workers that did not answer in time, and whose part is missing: " + TextAt(answer, "workers_missing") + "\n"
             : "";
}

std::string Connections(const json& server) {
  if (!At(server, "connections").is_object()) return "";
  return Or(TextAt(server, "connections/busy"), "-") + "/" + Or(TextAt(server, "connections/idle"), "-") + "/" +
         Or(TextAt(server, "connections/max"), "-");
}

// Whether strict reads go there, and else why not.
std::pair<std::string, std::string> Reads(const json& server, const std::string& read_from) {
  if (const auto error = TextAt(server, "error"); !error.empty()) return {"no", error};
  if (TextAt(server, "role") != "replica") return {"", ""};
  if (read_from == "none") return {"no", "read_from = \"none\""};
  const auto why = TextAt(server, "why_not/" + read_from + "/strict");
  if (!why.empty()) return {"no", why};
  return TrueAt(server, "eligible") ? std::pair<std::string, std::string>{"yes", ""}
                                    : std::pair<std::string, std::string>{"no", TextAt(server, "ineligible_why")};
}

std::string Intent(const json& server) {
  const auto left = TextAt(server, "draining/left");
  return TextAt(server, "intent") + (left.empty() ? "" : ", " + left + " left");
}

std::string EventLine(const json& event) {
  auto time = TextAt(event, "time").substr(0, 19);
  std::replace(time.begin(), time.end(), 'T', ' ');
  auto line = time + "  " + TextAt(event, "level");
  line.resize(std::max<std::size_t>(line.size() + 2, 30), ' ');
  line += TextAt(event, "kind") + ": " + TextAt(event, "text");
  return Harmless(line);
}

}  // namespace

std::string RenderAge(std::chrono::seconds age) {
  const auto seconds = age.count();
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 2 * 86'400) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86'400) + " d";
}

bool IsAnswer(const std::string& text) { return ReadObject(text).is_object(); }

std::string RenderClients(const json& clients) {
  std::string states;
  if (clients.is_object())
    for (const auto& [state, count] : clients.items())
      if (state != "max" && !(count.is_number() && count.get<double>() == 0))
        states += (states.empty() ? "" : ", ") + Text(count) + " " + state;
  std::replace(states.begin(), states.end(), '_', ' ');
  return Or(states, "none") + "; at most " + Or(TextAt(clients, "max"), "-");
}

std::string RenderStatus(const std::string& status_text, const std::string& cluster_text) {
  const auto status = ReadObject(status_text);
  const auto cluster = ReadObject(cluster_text);
  if (status.is_null()) return "";
  auto text = Line("waypost", TextAt(status, "version") + ", up " + AgeOf(NumberAt(status, "uptime_seconds")) + ", " +
                                  (TrueAt(status, "draining") ? "draining"
                                   : TrueAt(status, "ready")  ? "ready"
                                                              : "not ready"));
  const auto timeline = TextAt(status, "accepted/timeline");
  text += Line("primary", Or(TextAt(status, "primary"), "none") + (timeline.empty() ? "" : ", timeline " + timeline));
  text += Line("replicas", TextAt(status, "replicas") + ", of which " + TextAt(status, "replicas_eligible") +
                               " can be read from; read_from = " + TextAt(status, "read_from"));
  if (const auto& found = At(status, "discovery"); found.is_object())
    text += Line(
        "found by",
        TextAt(found, "source") + ", " +
            (TextAt(found, "from").empty() ? "no list yet" : TextAt(found, "servers") + " listed by " + TextAt(found, "from")));
  text += Line("clients", RenderClients(At(status, "clients")));
  text += Line("batches", TextAt(status, "queries_total") + ", held now: " + TextAt(status, "held_statements"));
  if (const auto& paused = At(cluster, "paused"); paused.is_object())
    text += Line("paused", TextAt(paused, "what") + ", until " + TextAt(paused, "until"));
  for (const auto& database : ListAt(cluster, "databases")) {
    const auto until = TextAt(database, "held_until");
    text += Line("database", TextAt(database, "name") + (until.empty() ? "" : ", paused until " + until) +
                                 (TrueAt(database, "disabled") ? ", disabled" : ""));
  }
  text +=
      Line("config", TextAt(status, "config/path") + (TrueAt(status, "config/last_reload_ok") ? "" : ", the last reload failed"));
  for (const auto& warning : ListAt(status, "warnings")) text += Line("warning", Text(warning));
  return text;
}

std::string RenderServers(const std::string& servers_text, const std::string& status_text) {
  const auto servers = ReadObject(servers_text);
  if (servers.is_null()) return "";
  const auto read_from = TextAt(ReadObject(status_text), "read_from");
  const bool discovers = At(ReadObject(status_text), "discovery").is_object();
  std::vector<std::string> header = {"SERVER", "ROLE", "UP"};
  if (discovers) header.emplace_back("FOUND BY");
  for (const auto* name : {"INTENT", "WEIGHT", "LAG", "BUSY/IDLE/MAX", "WAITING", "READS", "WHY NOT"}) header.emplace_back(name);
  TextTable table(std::move(header));
  for (const auto& server : ListAt(servers, "servers")) {
    auto [reads, why] = Reads(server, read_from);
    std::vector<std::string> row = {TextAt(server, "name"), TextAt(server, "role"), TextAt(server, "up")};
    if (discovers) row.push_back(TextAt(server, "found_by"));
    for (auto& cell : {Intent(server), TextAt(server, "weight"), Milliseconds(NumberAt(server, "lag_ms")), Connections(server),
                       TextAt(server, "connections/waiting_sessions"), reads, why})
      row.push_back(cell);
    table.Add(std::move(row));
  }
  return table.Text();
}

std::string RenderSessions(const std::string& sessions_text, WallTime now, bool whole) {
  const auto sessions = ReadObject(sessions_text);
  if (sessions.is_null()) return "";
  TextTable table({"ID", "USER", "DATABASE", "APPLICATION", "CLIENT", "STATE", "FOR", "SERVER", "TIE", "TARGET", "STATEMENT"});
  const auto& rows = ListAt(sessions, "sessions");
  for (const auto& row : rows)
    table.Add({TextAt(row, "id"), TextAt(row, "user"), TextAt(row, "database"), TextAt(row, "application_name"),
               TextAt(row, "client"), TextAt(row, "state"), AgeSince(TextAt(row, "state_since"), now), TextAt(row, "server"),
               TextAt(row, "pin"), TextAt(row, "target"), Cut(TextAt(row, "statement"), whole)});
  auto text = table.Text();
  if (const auto total = NumberAt(sessions, "total"); total && *total > static_cast<double>(rows.size()))
    text += std::to_string(rows.size()) + " of " + TextAt(sessions, "total") + " sessions; --limit and --offset show others.\n";
  return text + Missing(sessions);
}

std::string RenderPools(const std::string& pools_text) {
  const auto pools = ReadObject(pools_text);
  if (pools.is_null()) return "";
  TextTable table(
      {"WORKER", "SERVER", "ROLE", "USER", "DATABASE", "BUSY", "IDLE", "CONNECTING", "MAX", "WAITING", "LONGEST WAIT"});
  for (const auto& pool : ListAt(pools, "pools")) {
    const auto waits = NumberAt(pool, "waiting").value_or(0) > 0;
    const auto longest = NumberAt(pool, "longest_wait_s");
    table.Add({TextAt(pool, "worker"), TextAt(pool, "server"), TextAt(pool, "role"), TextAt(pool, "user"),
               TextAt(pool, "database"), TextAt(pool, "busy"), TextAt(pool, "idle"), TextAt(pool, "connecting"),
               TextAt(pool, "max"), TextAt(pool, "waiting"), waits && longest ? Milliseconds(*longest * 1000) : ""});
  }
  return table.Text() + Missing(pools);
}

std::string RenderDigests(const std::string& digests_text, bool whole) {
  const auto digests = ReadObject(digests_text);
  if (digests.is_null()) return "";
  TextTable table({"CALLS", "TIME", "MEAN", "PRIMARY", "REPLICA", "ERRORS", "DATABASE", "USER", "CLASS", "VERDICT", "STATEMENT"});
  for (const auto& row : ListAt(digests, "digests"))
    table.Add({TextAt(row, "calls"), Milliseconds(NumberAt(row, "total_ms")), Milliseconds(NumberAt(row, "mean_ms")),
               TextAt(row, "on_primary"), TextAt(row, "on_replica"), TextAt(row, "errors"), TextAt(row, "database"),
               TextAt(row, "user"), TextAt(row, "class"), TextAt(row, "verdict"), Cut(TextAt(row, "text"), whole)});
  return table.Text() + Missing(digests);
}

std::string RenderEvents(const std::string& events_text) {
  const auto events = ReadObject(events_text);
  std::string text;
  for (const auto& event : ListAt(events, "events")) text += EventLine(event) + "\n";
  return text;
}

std::string RenderEvent(const std::string& event) { return EventLine(ReadObject(event)); }

std::string RenderMembers(const std::string& object_text) {
  const auto object = ReadObject(object_text);
  if (!object.is_object()) return "";
  std::size_t width = 0;
  for (const auto& [name, value] : object.items()) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : object.items())
    text += Harmless(name + ":" + std::string(width + 1 - name.size(), ' ') + Or(Text(value), "-")) + "\n";
  return text;
}

Trace TraceOf(const std::string& answer_text) {
  const auto answer = ReadObject(answer_text);
  const auto whole = [](const json& value, const char* name) {
    return static_cast<std::uint64_t>(std::max(0.0, NumberAt(value, name).value_or(0)));
  };
  Trace trace;
  trace.active = TrueAt(answer, "active");
  trace.last = whole(answer, "last");
  trace.lost = whole(answer, "lost");
  for (const auto& one : ListAt(answer, "statements")) {
    trace.shown = std::max(trace.shown, whole(one, "id"));
    std::string line = TextAt(one, "began");
    if (line.size() > 23) line = line.substr(11, 12);
    line += "  " + Or(TextAt(one, "target"), "-") + " " + Or(TextAt(one, "reason"), "-") + "  " + Or(TextAt(one, "server"), "-") +
            "  " + Milliseconds(NumberAt(one, "took_ms"));
    std::string waits;
    for (const auto* wait : {"pool", "fence", "server"})
      if (const auto time = NumberAt(one, std::string(wait) + "_ms"); time && *time > 0)
        waits += (waits.empty() ? "" : ", ") + std::string(wait) + " " + Milliseconds(time);
    if (!waits.empty()) line += " (" + waits + ")";
    line += "  " + Or(TextAt(one, "rows"), "0") + " rows";
    if (const auto pin = TextAt(one, "pin"); !pin.empty()) line += "  tied: " + pin;
    if (const auto state = TextAt(one, "sqlstate"); !state.empty()) line += "  ERROR " + state;
    trace.statements.emplace_back(Harmless(line + "  " + TextAt(one, "statement")),
                                  one.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  return trace;
}

std::string RenderIntent(const std::string& server_text) {
  const auto server = ReadObject(server_text);
  const auto deadline = TextAt(server, "draining/deadline");
  return Harmless(TextAt(server, "name") + ": " + Intent(server) + (deadline.empty() ? "" : ", at most until " + deadline)) +
         "\n";
}

std::optional<std::uint64_t> ConnectionsLeft(const std::string& servers_text, const std::string& name) {
  const auto servers = ReadObject(servers_text);
  for (const auto& server : ListAt(servers, "servers"))
    if (TextAt(server, "name") == name) {
      const auto& left = At(server, "draining/left");
      return left.is_number_unsigned() ? std::optional(left.get<std::uint64_t>()) : std::nullopt;
    }
  return std::nullopt;
}

std::string RenderPause(const std::string& cluster_text) {
  const auto cluster = ReadObject(cluster_text);
  const auto& paused = At(cluster, "paused");
  const auto held = Or(TextAt(cluster, "held_statements"), "0");
  if (!paused.is_object()) return "not paused\n";
  const auto running = TextAt(paused, "running");
  return Harmless("paused: " + TextAt(paused, "what") + ", until " + TextAt(paused, "until") + "; held now: " + held +
                  (running.empty() ? "" : ", still running: " + running)) +
         "\n";
}

PauseLeft LeftOf(const std::string& cluster_text) {
  const auto cluster = ReadObject(cluster_text);
  const auto& paused = At(cluster, "paused");
  PauseLeft left;
  left.paused = paused.is_object();
  if (const auto running = NumberAt(paused, "running"); running && *running >= 0)
    left.running = static_cast<std::uint64_t>(*running);
  if (const auto tied = NumberAt(paused, "tied"); tied && *tied >= 0) left.tied = static_cast<std::uint64_t>(*tied);
  return left;
}

std::string RenderReload(const std::string& report_text) {
  const auto report = ReadObject(report_text);
  const auto& changed = ListAt(report, "changed");
  const auto& restart = ListAt(report, "restart_needed");
  if (changed.empty()) return "nothing has changed\n";
  TextTable table({"KEY", "BEFORE", "AFTER", "IN FORCE"});
  for (const auto& change : changed) {
    const bool waits = std::find(restart.begin(), restart.end(), At(change, "key")) != restart.end();
    table.Add({TextAt(change, "key"), At(change, "before").dump(), At(change, "after").dump(),
               waits                       ? "after a restart"
               : TrueAt(report, "applied") ? "now"
                                           : "with a reload"});
  }
  return table.Text();
}

std::string RenderProblem(long status, const std::string& body) {
  const auto problem = ReadObject(body);
  const auto title = TextAt(problem, "title");
  const auto detail = TextAt(problem, "detail");
  if (title.empty()) return Harmless("status " + std::to_string(status) + (body.empty() ? "" : ": " + body.substr(0, 200)));
  // What is wrong with a configuration is told line by line.
  std::string text = Harmless(title) + (detail.empty() ? "" : ": ");
  for (std::size_t at = 0; at < detail.size();) {
    const auto end = std::min(detail.find('\n', at), detail.size());
    text += Harmless(detail.substr(at, end - at)) + (end < detail.size() ? "\n" : "");
    at = end + 1;
  }
  return text;
}

}  // namespace waypost
