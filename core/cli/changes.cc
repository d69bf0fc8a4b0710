// The commands that change something.
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/time.h"
#include "core/cli/options.h"
#include "core/cli/render.h"

namespace waypost {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr milliseconds kPollInterval{500};
constexpr seconds kPatience{10};  // with an admin port that changes hands, and with what a deadline ends

}  // namespace

int AdminCommands::Options::SetIntent(const char* intent) const {
  json body = {{"intent", intent}};
  std::optional<seconds> ends;
  if (!deadline.empty()) {
    ends = WholeSeconds("--deadline", deadline);
    if (!ends) return kExitUsage;
    body["deadline_s"] = ends->count();
  }
  const auto done =
      Change({.method = "PATCH", .path = "/api/v1/servers/" + PercentEncoded(server), .body = body.dump()}, RenderIntent);
  return done == kExitOk && wait ? WaitUntilEmpty(ends) : done;
}

// Tells each time that fewer are left. `server_deadline`: when Waypost ends what is left then.
int AdminCommands::Options::WaitUntilEmpty(std::optional<seconds> server_deadline) const {
  const auto begun = Clock::now();
  auto heard = begun;
  std::optional<std::uint64_t> last;
  bool empty = false;  // twice: a worker may hear of it after the first look
  while (true) {
    const auto answer = Try({.path = "/api/v1/servers"});
    if (answer && answer->status != 200) return Refused(*answer);
    if (!answer && Clock::now() - heard > kPatience) return Complain(kExitUnavailable, "no answer: " + answer.error());
    if (answer) {
      heard = Clock::now();
      const auto left = ConnectionsLeft(answer->body, server);
      if (!left) return Complain(kExitRefused, server + " is drained no longer");
      if (left == 0 && std::exchange(empty, true)) break;
      empty = left == 0;
      if (left != last && left != 0) (void)Complain(kExitOk, server + ": connections left: " + std::to_string(*left));
      last = left;
    }
    if (server_deadline && Clock::now() - begun > *server_deadline + kPatience)
      return Complain(kExitRefused, server + " is not empty, though its deadline has passed");
    std::this_thread::sleep_for(kPollInterval);
  }
  return Complain(kExitOk, server + ": no connection is left");
}

int AdminCommands::Options::Pause() const {
  const auto limit_s = WholeSeconds("--limit", pause_limit);
  if (!limit_s) return kExitUsage;
  const json body = {{"what", writes_only ? "writes" : "all"}, {"limit_s", limit_s->count()}};
  const auto done = Change({.method = "POST", .path = "/api/v1/cluster/pause", .body = body.dump()}, RenderPause);
  return done == kExitOk && wait ? WaitUntilStill() : done;
}

// Tells each time that fewer are left. The pause has a limit, and so has this.
int AdminCommands::Options::WaitUntilStill() const {
  auto heard = Clock::now();
  std::optional<std::uint64_t> last;
  while (true) {
    const auto answer = Try({.path = "/api/v1/cluster"});
    if (answer && answer->status != 200) return Refused(*answer);
    if (!answer && Clock::now() - heard > kPatience) return Complain(kExitUnavailable, "no answer: " + answer.error());
    if (answer) {
      heard = Clock::now();
      const auto left = LeftOf(answer->body);
      if (!left.paused) return Complain(kExitRefused, "the pause has ended while something still ran");
      if (left.running == 0 && left.tied) {
        if (*left.tied > 0)
          (void)Complain(kExitOk, "tied to a server connection, and not held: " + std::to_string(*left.tied) +
                                      " (waypost sessions --pinned)");
        return Complain(kExitOk, "nothing runs any more");
      }
      if (left.running && *left.running > 0 && left.running != last)
        (void)Complain(kExitOk, "still running: " + std::to_string(*left.running));
      if (left.running) last = left.running;
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

int AdminCommands::Options::Resume() const { return Change({.method = "POST", .path = "/api/v1/cluster/resume"}, RenderPause); }

int AdminCommands::Options::Kill() const {
  return Change({.method = "DELETE", .path = "/api/v1/sessions/" + PercentEncoded(id)},
                [this](const auto&) { return id + ": ended\n"; });
}

int AdminCommands::Options::Cancel() const {
  return Change({.method = "POST", .path = "/api/v1/sessions/" + PercentEncoded(id) + "/cancel"},
                [this](const auto&) { return id + ": what it runs is cancelled\n"; });
}

int AdminCommands::Options::Reload() const {
  const json body = {{"dry_run", dry_run}};
  return Change({.method = "POST", .path = "/api/v1/reload", .body = body.dump()}, RenderReload);
}

int AdminCommands::Options::LogLevel() const {
  if (level.empty()) return Show("/api/v1/log", RenderMembers);
  const json body = {{"level", level}};
  return Change({.method = "PUT", .path = "/api/v1/log", .body = body.dump()}, RenderMembers);
}

}  // namespace waypost
