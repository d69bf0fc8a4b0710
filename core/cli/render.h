// What the admin API answered, as text for people. Pure. What is missing in an answer, as of another version of Waypost, is
// shown as "-"; an answer that is no JSON object gives "", as may one that lists nothing: see IsAnswer().
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost {

// From which ages are counted.
using WallTime = std::chrono::system_clock::time_point;

// A JSON object, as all answers of the API are.
[[nodiscard]] bool IsAnswer(const std::string& text);

// Of "clients" in a status: how many do what.
[[nodiscard]] std::string RenderClients(const nlohmann::json& clients);

// Of GET /api/v1/status and GET /api/v1/cluster.
[[nodiscard]] std::string RenderStatus(const std::string& status, const std::string& cluster);
// Of GET /api/v1/servers and GET /api/v1/status, which says from which replicas is read.
[[nodiscard]] std::string RenderServers(const std::string& servers, const std::string& status);

// Long statements are cut unless they are wanted whole.
[[nodiscard]] std::string RenderSessions(const std::string& sessions, WallTime now, bool whole);
[[nodiscard]] std::string RenderPools(const std::string& pools);
[[nodiscard]] std::string RenderDigests(const std::string& digests, bool whole);

[[nodiscard]] std::string RenderEvents(const std::string& events);
// One of them: a line without its end.
[[nodiscard]] std::string RenderEvent(const std::string& event);

// Each member of an object on a line of its own, as of one session.
[[nodiscard]] std::string RenderMembers(const std::string& object);

// Of GET /api/v1/sessions/ID/trace.
struct Trace {
  bool active = false;
  std::uint64_t last = 0, shown = 0, lost = 0;  // the newest id there, and here
  std::vector<std::pair<std::string, std::string>> statements;  // each as a line for people, and as JSON; without their ends
};
[[nodiscard]] Trace TraceOf(const std::string& answer);

// Of PATCH /api/v1/servers/NAME.
[[nodiscard]] std::string RenderIntent(const std::string& server);
// Of GET /api/v1/servers: how many connections to `server` are left; nothing if it is drained no longer, or not there.
[[nodiscard]] std::optional<std::uint64_t> ConnectionsLeft(const std::string& servers, const std::string& server);
// Of GET /api/v1/cluster, and of what changes it.
[[nodiscard]] std::string RenderPause(const std::string& cluster);
// Of the same: what a pause waits for.
struct PauseLeft {
  bool paused = false;
  std::optional<std::uint64_t> running;  // sessions that had begun what is held; nothing: it is not known now
  std::optional<std::uint64_t> tied;     // that are not held
};
[[nodiscard]] PauseLeft LeftOf(const std::string& cluster);
// Of POST /api/v1/reload.
[[nodiscard]] std::string RenderReload(const std::string& report);

// Of problem details (RFC 9457), or of whatever else an answer of that status said.
[[nodiscard]] std::string RenderProblem(long status, const std::string& body);

// "4 s", "3 min", "2 h", "5 d".
[[nodiscard]] std::string RenderAge(std::chrono::seconds age);

}  // namespace waypost
