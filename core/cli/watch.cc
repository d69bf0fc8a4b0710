// What goes on, again and again: waypost top, waypost trace.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <thread>

#include "core/cli/options.h"
#include "core/cli/render.h"
#include "core/cli/screen.h"
#include "core/cli/text_table.h"
#include "core/cli/top.h"
#include "core/config/units.h"

namespace waypost {
namespace {

constexpr milliseconds kShortestInterval{100};
constexpr milliseconds kLongestInterval{3'600'000};
constexpr milliseconds kTraceInterval{300};
constexpr std::chrono::seconds kPatience{5};  // with an admin port that does not answer

std::string TimeOfDay() {
  const auto now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::string text(8, ' ');
  (void)std::snprintf(text.data(), text.size() + 1, "%02d:%02d:%02d", parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text;
}

void PrintLines(const std::vector<TopLine>& lines) {
  std::string text;
  for (const auto& line : lines) text += line.text + "\n";
  Say(text);
}

// Asks for all that top shows.
class TopSource {
 public:
  explicit TopSource(std::function<Result<HttpAnswer, NotReached>(HttpQuestion)> ask) : ask_(std::move(ask)) {}

  // Nothing if something did not come: fault() says why, refusal() with what answer.
  [[nodiscard]] std::optional<TopSample> Take() {
    TopSample sample;
    sample.at = std::chrono::steady_clock::now();
    for (const auto& [path, place] :
         {std::pair{"/api/v1/status", &TopSample::status}, std::pair{"/metrics", &TopSample::metrics},
          std::pair{"/api/v1/cluster", &TopSample::cluster}, std::pair{"/api/v1/servers", &TopSample::servers},
          std::pair{"/api/v1/pools", &TopSample::pools},
          std::pair{"/api/v1/sessions?state=waiting&limit=50", &TopSample::sessions},
          std::pair{"/api/v1/digests?sort=time&limit=1000", &TopSample::digests}}) {
      auto answer = ask_({.path = path, .limit = kPatience});
      refusal_.reset();
      if (!answer) return fault_ = answer.error(), std::nullopt;
      if (answer->status != 200) {
        fault_ = RenderProblem(answer->status, answer->body);
        refusal_ = *answer;
        return std::nullopt;
      }
      sample.*place = std::move(answer->body);
    }
    return sample;
  }
  [[nodiscard]] int Complaint() const {
    return refusal_ ? Refused(*refusal_) : Complain(kExitUnavailable, "no answer: " + fault_);
  }
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  std::function<Result<HttpAnswer, NotReached>(HttpQuestion)> ask_;
  std::string fault_;
  std::optional<HttpAnswer> refusal_;
};

int TopLines(TopSource& source, milliseconds interval, bool once, bool as_json) {
  auto before = source.Take();
  while (before) {
    std::this_thread::sleep_for(interval);
    auto now = source.Take();
    if (!now) break;
    if (as_json) Say(TopJson(*before, *now) + "\n");
    else PrintLines(TopScreen(*before, *now, {.columns = 200, .rows = 0}));
    if (once || std::ferror(stdout) != 0) return kExitOk;
    before = std::move(now);
  }
  return source.Complaint();
}

int TopLive(TopSource& source, milliseconds interval) {
  auto before = source.Take();
  if (!before) return source.Complaint();
  auto now = before;
  std::string lost;  // what is shown is from before, and why
  Screen screen;
  auto patience = std::min(interval, milliseconds{500});  // the first comparison soon
  while (true) {
    auto size = screen.size();
    std::vector<TopLine> lines = {{Shortened(lost.empty() ? TimeOfDay() + "  q ends it" : lost, size.columns), !lost.empty()}};
    --size.rows;
    for (auto& line : TopScreen(*before, *now, size)) lines.push_back(std::move(line));
    if (!screen.Draw(lines)) return kExitOk;
    const auto turn = screen.Await(patience);
    if (turn == Screen::Turn::kQuit) return kExitOk;
    if (turn == Screen::Turn::kResized) continue;
    patience = interval;
    if (auto next = source.Take()) {
      before = std::exchange(now, std::move(next));
      lost.clear();
    } else if (lost.empty()) {
      lost = "No answer since " + TimeOfDay() + ": " + Harmless(source.fault());
    }
  }
}

}  // namespace

// Until the time is over or the session has ended.
int AdminCommands::Options::Trace() const {
  const auto time = WholeSeconds("--for", trace_for);
  if (!time) return kExitUsage;
  const auto path = "/api/v1/sessions/" + PercentEncoded(id) + "/trace";
  const auto begun = Send({.method = "POST", .path = path, .body = "{\"for_s\": " + std::to_string(time->count()) + "}"});
  if (!begun) return kExitUnavailable;
  if (begun->status != 200) return Refused(*begun);
  auto seen = TraceOf(begun->body).last;
  while (true) {
    std::this_thread::sleep_for(kTraceInterval);
    const auto answer = Send({.path = path + "?since=" + std::to_string(seen)});
    if (!answer) return kExitUnavailable;
    if (answer->status != 200) return Refused(*answer);
    const auto trace = TraceOf(answer->body);
    std::string text;
    for (const auto& [line, object] : trace.statements) text += (as_json ? object : line) + "\n";
    if (trace.lost > 0) (void)Complain(kExitOk, std::to_string(trace.lost) + " statements are missing: they came too fast");
    Say(text);
    seen = std::max(seen, trace.shown);
    if ((!trace.active && seen >= trace.last) || std::ferror(stdout) != 0) return kExitOk;
  }
}

int AdminCommands::Options::Top() const {
  const auto span = ParseSpan(interval);
  if (!span || *span < kShortestInterval || *span > kLongestInterval)
    return Complain(kExitUsage, "found --interval \"" + interval + "\", expected a time from 100ms to 1h");
  TopSource source([this](HttpQuestion question) { return Try(std::move(question)); });
  if (once || as_json) return TopLines(source, *span, once, as_json);
  if (!Screen::Possible()) return Complain(kExitUsage, "standard input and output are no terminal: use --once or --json");
  return TopLive(source, *span);
}

}  // namespace waypost
