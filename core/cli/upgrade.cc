// waypost upgrade: SIGUSR2 to the process that listens on the Unix socket, and what has become of it.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/time.h"
#include "core/cli/options.h"
#include "core/cli/text_table.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr milliseconds kPollInterval{200};
constexpr std::chrono::seconds kPatience{120};

// The process that listens at `path`, as the kernel says; 0 if it is not among those that can be seen from here. Nothing: nobody does.
std::optional<pid_t> ListenerAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  ucred listener{};
  socklen_t size = sizeof listener;
  const bool there = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                     getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) == 0;
  (void)close(fd);
  return there ? std::optional(listener.pid) : std::nullopt;
}

// The number of the last event, if that is what the answer has.
std::optional<std::uint64_t> LastEvent(const std::string& events) {
  const auto read = json::parse(events, nullptr, false);
  const auto last = read.is_object() && read.contains("events") ? read.find("last") : read.end();
  return last != read.end() && last->is_number_unsigned() ? std::optional(last->get<std::uint64_t>()) : std::nullopt;
}

// What went wrong, if one of the events says so.
std::optional<std::string> FailureIn(const std::string& events) {
  const auto read = json::parse(events, nullptr, false);
  if (!read.is_object() || !read.contains("events") || !read["events"].is_array()) return std::nullopt;
  for (const auto& event : read["events"])
    if (event.is_object() && event.value("kind", json()) == "upgrade_failed")
      return Harmless(event.value("text", json("?")).dump());
  return std::nullopt;
}

}  // namespace

int AdminCommands::Options::Upgrade() const {
  const auto way = std::find_if(ways.begin(), ways.end(), [](const auto& one) { return !one.socket.empty(); });
  if (way == ways.end())
    return Complain(kExitUsage, "upgrade needs [admin] socket, or --socket: only there is it sure which process answers");
  // Whoever else listened there would be ended by the signal.
  const auto answer = Ask(*way, {.method = "GET", .path = "/api/v1/events?limit=1"});
  if (!answer) return Complain(kExitUnavailable, "no answer: " + answer.error());
  if (answer->status != 200) return Refused(*answer);
  const auto last = LastEvent(answer->body);
  const auto before = ListenerAt(way->socket);
  if (!last || !before) return Complain(kExitRefused, way->socket + ": it is not Waypost that answers");
  if (*before <= 0)
    return Complain(kExitRefused, way->socket + ": its process cannot be seen from here; it may be in a container");
  if (kill(*before, SIGUSR2) != 0)
    return Complain(kExitNotAllowed, "process " + std::to_string(*before) + " cannot be told: " + std::strerror(errno));
  return WaitForSuccessor(*way, *before, *last);
}

// Until another process listens there, or the one of before says that it stays.
int AdminCommands::Options::WaitForSuccessor(const AdminAddress& way, int before, std::uint64_t last_event) const {
  for (const auto begun = Clock::now(); Clock::now() - begun < kPatience; std::this_thread::sleep_for(kPollInterval)) {
    const auto now = ListenerAt(way.socket);
    if (now && *now != before) {
      Say(as_json ? json{{"before", before}, {"after", *now}}.dump() + "\n"
                  : "process " + std::to_string(*now) + " has taken the place of " + std::to_string(before) + "\n");
      return kExitOk;
    }
    const auto events = Ask(way, {.method = "GET", .path = "/api/v1/events?since=" + std::to_string(last_event)});
    if (const auto why = events ? FailureIn(events->body) : std::nullopt)
      return Complain(kExitRefused, "process " + std::to_string(before) + " goes on: " + *why);
  }
  return Complain(kExitRefused, "process " + std::to_string(before) + " has not handed over within " +
                                    std::to_string(kPatience.count()) + " s; its log says more");
}

}  // namespace waypost
