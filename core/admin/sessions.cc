// Who is there: sessions and pools, and how to end one.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/admin/api.h"
#include "core/admin/json.h"
#include "core/observe/census.h"
#include "routing/health.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxSessionsShown = 1000;
constexpr std::size_t kMaxOffset = 1'000'000;

AdminResponse Answer(const json& body) {
  return {200, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n", ""};
}

AdminResponse NotYet() { return AdminApi::Problem(503, "Not ready", "Waypost has not started yet."); }

json TextOrNull(std::string_view text) { return text.empty() ? json(nullptr) : json(text); }

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string Ago(Duration age) {
  return Rfc3339(std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(age));
}

json SessionJson(const SessionRow& session) {
  return {{"id", SessionIdText(session.id)},
          {"user", session.user},
          {"database", session.database},
          {"application_name", session.application},
          {"client", TextOrNull(session.client)},
          {"state", SessionStateName(session.state)},
          {"server", TextOrNull(session.server)},
          {"server_pid", session.server_pid != 0 ? json(session.server_pid) : json(nullptr)},
          {"pin", session.pin == PinReason::kNone ? json(nullptr) : json(PinReasonName(session.pin))},
          {"connected_at", Ago(session.age)},
          {"state_since", Ago(session.state_age)},
          {"statement", session.statement ? json(*session.statement) : json(nullptr)},
          {"target", session.target ? json(TargetName(*session.target)) : json(nullptr)},
          {"reason", session.target ? json(ReasonName(session.reason)) : json(nullptr)},
          {"statements", session.statements}};
}

// The number in `text`, at most `most`.
bool ReadNumber(const std::string& text, std::size_t most, std::size_t& number) {
  if (text.empty() || text.size() > 7 || text.find_first_not_of("0123456789") != std::string::npos) return false;
  number = std::stoul(text);
  return number <= most;
}

Result<SessionQuestion> ReadQuestion(const std::map<std::string, std::string>& query) {
  SessionQuestion question;
  for (const auto& [key, value] : query) {
    const auto wrong = [&, &key = key, &value = value](const std::string& expected) {
      return Error{"found " + key + " = \"" + value + "\", expected " + expected};
    };
    if (key == "user") question.user = value;
    else if (key == "database") question.database = value;
    else if (key == "application_name") question.application = value;
    else if (key == "server") question.server = value;
    else if (key == "state") {
      question.state = ReadSessionState(value);
      if (!question.state) return wrong("idle, active, waiting, idle in transaction, idle in transaction (aborted) or log-in");
    } else if (key == "pinned") {
      if (value != "true" && value != "false") return wrong("true or false");
      question.pinned = value == "true";
    } else if (key == "limit") {
      if (!ReadNumber(value, kMaxSessionsShown, question.limit) || question.limit == 0)
        return wrong("a whole number from 1 to " + std::to_string(kMaxSessionsShown));
    } else if (key == "offset") {
      if (!ReadNumber(value, kMaxOffset, question.offset)) return wrong("a whole number up to " + std::to_string(kMaxOffset));
    } else {
      return Error{"unknown parameter \"" + key +
                   "\", expected user, database, application_name, server, state, pinned, limit or offset"};
    }
  }
  return question;
}

AdminResponse NoSuchSession(const std::string& id) {
  return AdminApi::Problem(404, "Not found", "There is no session \"" + id + "\" (any more).");
}

AdminResponse NoAnswer() { return AdminApi::Problem(503, "No answer", "The worker of that session does not answer."); }

}  // namespace

AdminResponse AdminApi::ListSessions(const AdminRequest& request) {
  const auto question = ReadQuestion(request.query);
  if (!question) return Problem(400, "Bad request", question.error());
  if (sources_.census == nullptr) return NotYet();
  const auto report = sources_.census->Sessions(*question);
  json sessions = json::array();
  for (const auto& session : report.sessions) sessions.push_back(SessionJson(session));
  return Answer({{"total", report.total}, {"sessions", std::move(sessions)}, {"workers_missing", report.workers_missing}});
}

AdminResponse AdminApi::ShowSession(const AdminRequest& request) {
  if (sources_.census == nullptr) return NotYet();
  const auto id = ReadSessionId(request.argument);
  if (!id) return NoSuchSession(request.argument);
  bool answered = false;
  const auto session = sources_.census->Session(*id, answered);
  if (!session) return answered ? NoSuchSession(request.argument) : NoAnswer();
  auto body = SessionJson(*session);
  body["settings"] = session->settings;
  body["prepared"] = session->prepared;
  body["cancel_pid"] = session->cancel_pid;
  body["listener"] = TextOrNull(session->listener);
  body["pins"] = {
      {"now", body["pin"]},
      {"for_good", session->pin_for_good == PinReason::kNone ? json(nullptr) : json(PinReasonName(session->pin_for_good))}};
  return Answer(body);
}

AdminResponse AdminApi::EndOrCancel(const AdminRequest& request, bool end) {
  if (sources_.census == nullptr) return NotYet();
  const auto id = ReadSessionId(request.argument);
  if (!id) return NoSuchSession(request.argument);
  switch (end ? sources_.census->End(*id) : sources_.census->Cancel(*id)) {
    case Ended::kNoSuchSession: return NoSuchSession(request.argument);
    case Ended::kNoAnswer: return NoAnswer();
    case Ended::kDone: break;
  }
  Audit(request, "session " + request.argument, "connected", end ? "ended" : "its statement cancelled");
  return {204, "", "", ""};
}

AdminResponse AdminApi::EndSession(const AdminRequest& request) { return EndOrCancel(request, true); }
AdminResponse AdminApi::CancelSession(const AdminRequest& request) { return EndOrCancel(request, false); }

AdminResponse AdminApi::ListPools(const AdminRequest&) {
  if (sources_.census == nullptr) return NotYet();
  const auto report = sources_.census->Pools();
  json pools = json::array();
  for (const auto& pool : report.pools)
    pools.push_back({{"worker", pool.worker},
                     {"server", pool.server},
                     {"user", pool.user},
                     {"database", pool.database},
                     {"role", RoleName(pool.role)},
                     {"idle", pool.idle},
                     {"busy", pool.busy},
                     {"connecting", pool.connecting},
                     {"waiting", pool.waiting},
                     {"max", pool.max > 0 ? json(pool.max) : json(nullptr)},
                     {"longest_wait_s", Seconds(pool.longest_wait)}});
  return Answer({{"pools", std::move(pools)}, {"workers_missing", report.workers_missing}});
}

}  // namespace waypost
