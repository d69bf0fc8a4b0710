// The commands that change nothing.
#include <chrono>
#include <cstdio>
#include <string_view>

#include "core/cli/event_stream.h"
#include "core/cli/options.h"
#include "core/cli/render.h"

namespace waypost {
namespace {

constexpr const char* kEventStream = "text/event-stream";

// What is asked for behind the path: "?user=ann&limit=10". What is empty is left out.
class Query {
 public:
  void Add(const char* key, const std::string& value) {
    if (!value.empty()) text_ += (text_.empty() ? "?" : "&") + std::string(key) + "=" + PercentEncoded(value);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

int AdminCommands::Options::Status() const {
  return Show("/api/v1/status", [this](const auto& status) { return RenderStatus(status, Fetch("/api/v1/cluster")); });
}

int AdminCommands::Options::Servers() const {
  return Show("/api/v1/servers", [this](const auto& servers) { return RenderServers(servers, Fetch("/api/v1/status")); });
}

int AdminCommands::Options::Sessions() const {
  if (!id.empty()) return Show("/api/v1/sessions/" + PercentEncoded(id), RenderMembers);
  Query query;
  query.Add("user", user);
  query.Add("database", database);
  query.Add("application_name", application);
  query.Add("server", server);
  query.Add("state", state);
  query.Add("pinned", pinned ? "true" : "");
  query.Add("limit", limit);
  query.Add("offset", offset);
  return Show("/api/v1/sessions" + query.text(),
              [this](const auto& sessions) { return RenderSessions(sessions, std::chrono::system_clock::now(), whole); });
}

int AdminCommands::Options::Pools() const { return Show("/api/v1/pools", RenderPools); }

int AdminCommands::Options::Digests() const {
  Query query;
  query.Add("sort", sort);
  query.Add("limit", limit);
  return Show("/api/v1/digests" + query.text(), [this](const auto& digests) { return RenderDigests(digests, whole); });
}

int AdminCommands::Options::Events() const {
  Query query;
  query.Add("since", since);
  if (follow) return Follow("/api/v1/events" + query.text());
  query.Add("limit", limit);
  return Show("/api/v1/events" + query.text(), RenderEvents);
}

// Until it is interrupted, or the connection ends.
int AdminCommands::Options::Follow(const std::string& path) const {
  EventStream stream;
  const auto answer = Send({.path = path, .limit = std::chrono::seconds(0), .accept = kEventStream}, [&](std::string_view part) {
    for (const auto& event : stream.Take(part)) Say((as_json ? event : RenderEvent(event)) + "\n");
    return std::ferror(stdout) == 0;
  });
  if (!answer) return kExitUnavailable;
  if (answer->status != 200) return Refused(*answer);
  return std::ferror(stdout) != 0 ? kExitOk : Complain(kExitUnavailable, "Waypost has ended the stream of events");
}

}  // namespace waypost
