// A session followed for a while: each of its statements, and what it waited for.
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/admin/api.h"
#include "core/admin/body.h"
#include "core/admin/json.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr unsigned kMaxSeconds = 600, kUsualSeconds = 30;

json TextOrNull(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

double Milliseconds(Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

json StatementJson(const FollowedStatement& one) {
  return {{"id", one.id},
          {"began", Rfc3339(one.began)},
          {"statement", one.text},
          {"target", TextOrNull(one.target)},
          {"reason", TextOrNull(one.reason)},
          {"server", TextOrNull(one.server_name)},
          {"pin", TextOrNull(one.pin)},
          {"sqlstate", TextOrNull(one.sqlstate)},
          {"took_ms", Milliseconds(one.took)},
          {"pool_ms", Milliseconds(one.pool)},
          {"fence_ms", Milliseconds(one.fence)},
          {"server_ms", Milliseconds(one.server)},
          {"rows", one.rows},
          {"bytes", one.bytes},
          {"statements", one.statements}};
}

AdminResponse Answer(const std::string& session, const FollowedSessions::Report& report) {
  json statements = json::array();
  for (const auto& one : report.statements) statements.push_back(StatementJson(one));
  const auto until = std::chrono::system_clock::now() +
                     std::chrono::duration_cast<std::chrono::system_clock::duration>(report.until - Clock::now());
  const json body = {{"session", session},  {"active", report.active}, {"until", Rfc3339(until)},
                     {"last", report.last}, {"lost", report.lost},     {"statements", std::move(statements)}};
  return {200, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", ""};
}

AdminResponse NotFollowed(const std::string& session) {
  return AdminApi::Problem(404, "Not found", "Session \"" + session + "\" is not followed: POST to begin.");
}

}  // namespace

AdminResponse AdminApi::BeginTrace(const AdminRequest& request) {
  const auto body = ReadBody(request.body, {"for_s"});
  if (!body) return Problem(400, "Bad request", body.error());
  std::string problem;
  const auto for_s = NumberIn(*body, "for_s", 1, kMaxSeconds, problem).value_or(kUsualSeconds);
  if (!problem.empty()) return Problem(400, "Bad request", problem);
  if (sources_.census == nullptr || sources_.followed == nullptr)
    return Problem(503, "Not ready", "Waypost has not started yet.");
  bool answered = false;
  const auto id = ReadSessionId(request.argument);
  if (!id || (!sources_.census->Session(*id, answered) && answered))
    return Problem(404, "Not found", "There is no session \"" + request.argument + "\" (any more).");
  const auto now = Clock::now();
  if (!sources_.followed->Begin(id->number, now, now + std::chrono::seconds(for_s)))
    return Problem(
        409, "Conflict",
        std::to_string(FollowedSessions::kMaxSessions) + " sessions are followed already, which is as many as may be.");
  Audit(request, "trace of session " + request.argument, "none", "for " + std::to_string(for_s) + " s");
  return Answer(request.argument, *sources_.followed->After(id->number, kMaxExactNumber, 0, now));
}

AdminResponse AdminApi::ShowTrace(const AdminRequest& request) {
  std::uint64_t since = 0, limit = FollowedSessions::kMaxStatements;
  for (const auto& [key, value] : request.query) {
    if (key != "since" && key != "limit")
      return Problem(400, "Bad request", "unknown parameter \"" + key + "\", expected since or limit");
    const auto number = NumberOf(value);
    const std::uint64_t low = key == "limit" ? 1 : 0, high = key == "limit" ? FollowedSessions::kMaxStatements : kMaxExactNumber;
    if (!number || *number < low || *number > high)
      return Problem(400, "Bad request",
                     "found " + key + " = \"" + value + "\", expected a whole number from " + std::to_string(low) + " to " +
                         std::to_string(high));
    (key == "since" ? since : limit) = *number;
  }
  if (sources_.followed == nullptr) return Problem(503, "Not ready", "Waypost has not started yet.");
  const auto id = ReadSessionId(request.argument);
  const auto report = id ? sources_.followed->After(id->number, since, limit, Clock::now()) : std::nullopt;
  return report ? Answer(request.argument, *report) : NotFollowed(request.argument);
}

AdminResponse AdminApi::EndTrace(const AdminRequest& request) {
  if (sources_.followed == nullptr) return Problem(503, "Not ready", "Waypost has not started yet.");
  const auto id = ReadSessionId(request.argument);
  if (!id || !sources_.followed->End(id->number)) return NotFollowed(request.argument);
  Audit(request, "trace of session " + request.argument, "followed", "none");
  return {204, "", "", ""};
}

}  // namespace waypost
