#include "core/cli/options.h"

#include <cstdio>
#include <utility>

#include "core/cli/render.h"
#include "core/config/units.h"

namespace waypost {

int Complain(int code, const std::string& message) {
  std::fprintf(stderr, "waypost: %s\n", message.c_str());
  return code;
}

void Say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::optional<std::chrono::seconds> WholeSeconds(const char* option, const std::string& text) {
  const auto span = ParseSpan(text);
  if (span && span->count() % 1000 == 0) return std::chrono::duration_cast<std::chrono::seconds>(*span);
  (void)Complain(kExitUsage, std::string("found ") + option + " \"" + text + "\", expected whole seconds, as 30s, 10m or 1h");
  return std::nullopt;
}

// What an answer that is no success says, and the exit code for it.
int Refused(const HttpAnswer& answer) {
  const bool not_allowed = answer.status == 401 || answer.status == 403 || answer.status == 429;
  return Complain(not_allowed ? kExitNotAllowed : kExitRefused, RenderProblem(answer.status, answer.body));
}

int AdminCommands::Options::Prepare() {
  address.config = config;
  const auto found = FindAdminPort(address);
  if (!found) return Complain(address.url.empty() ? kExitConfig : kExitUsage, found.error());
  const auto known = FindToken(token_file);
  if (!known) return Complain(kExitUsage, known.error());
  ways = *found;
  token = *known;
  return kExitOk;
}

Result<HttpAnswer, NotReached> AdminCommands::Options::Try(HttpQuestion question, const HttpReader& reader) const {
  question.token = token;
  NotReached faults;
  for (const auto& way : ways) {
    // On a socket it is the kernel that says who asks; a token counts by TCP only.
    if (!token.empty() && !way.socket.empty() && address.socket.empty()) continue;
    auto answer = Ask(way, question, reader);
    if (answer) return answer;
    faults.message += (faults.message.empty() ? "" : "; ") + answer.error();
    faults.sent = answer.fault().sent;
    if (faults.sent) break;
  }
  return faults;
}

std::optional<HttpAnswer> AdminCommands::Options::Send(const HttpQuestion& question, const HttpReader& reader) const {
  auto answer = Try(question, reader);
  if (answer) return std::move(*answer);
  const bool perhaps_done = answer.fault().sent && question.method != "GET";
  (void)Complain(kExitUnavailable, "no answer: " + answer.error() + (perhaps_done ? "; it may have been done all the same" : ""));
  return std::nullopt;
}

int AdminCommands::Options::Show(const std::string& path, const std::function<std::string(const std::string&)>& render) const {
  const auto answer = Send({.path = path});
  if (!answer) return kExitUnavailable;
  if (answer->status != 200) return Refused(*answer);
  if (!IsAnswer(answer->body))
    return Complain(kExitRefused, "the answer is not Waypost's: " + RenderProblem(answer->status, answer->body));
  Say(as_json ? answer->body : render(answer->body));
  return kExitOk;
}

std::string AdminCommands::Options::Fetch(const std::string& path) const {
  const auto answer = Send({.path = path});
  return answer && answer->status == 200 ? answer->body : "";
}

int AdminCommands::Options::Change(const HttpQuestion& question,
                                   const std::function<std::string(const std::string&)>& render) const {
  const auto answer = Send(question);
  if (!answer) return kExitUnavailable;
  if (answer->status != 200 && answer->status != 204) return Refused(*answer);
  Say(as_json ? answer->body : render(answer->body));
  return kExitOk;
}

}  // namespace waypost
