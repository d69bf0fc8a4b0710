#include "core/observe/span_exporter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/log.h"
#include "core/net/http.h"

namespace waypost {
namespace {

constexpr seconds kGather{1};  // between two requests
constexpr std::size_t kMany = 512;  // or as soon as so many wait
constexpr milliseconds kConnectLimit{1'000}, kAnswerLimit{3'000};

constexpr std::size_t kMaxAnswerBytes = 4096;  // the rest is not read for anything

// "" if the collector took it, else why not. `answer`: what it said.
std::string Post(const std::string& url, const std::string& body, std::string& answer) {
  const auto keep = [&](long, std::string_view part) {
    answer.append(part.substr(0, kMaxAnswerBytes - answer.size()));
    return answer.size() < kMaxAnswerBytes;
  };
  const auto status = SendHttp({.method = "POST",
                                .url = url,
                                .headers = {"Content-Type: application/json"},
                                .body = body,
                                .connect_limit = kConnectLimit,
                                .limit = kAnswerLimit},
                               keep);
  if (!status) return status.error();
  return *status >= 200 && *status < 300 ? "" : "it answered with the status " + std::to_string(*status);
}

std::size_t SpansOf(const std::vector<TracedStatement>& statements) {
  std::size_t spans = 0;
  for (const auto& statement : statements) spans += waypost::SpansOf(statement);
  return spans;
}

}  // namespace

SpanExporter::~SpanExporter() {
  {
    const auto lock = thread_.guard();
    pending_.clear();
  }
  Stop();
}

void SpanExporter::Configure(const TracingConfig& config) {
  {
    const auto lock = thread_.guard();
    config_ = config;
  }
  if (!config.endpoint.empty()) thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
}

void SpanExporter::Offer(TracedStatement statement) {
  const auto lock = thread_.guard();
  if (pending_.size() >= kMaxPending || config_.endpoint.empty()) {
    lost_ += waypost::SpansOf(statement);
    return;
  }
  pending_.push_back(std::move(statement));
  if (pending_.size() == kMany) thread_.Wake();
}

void SpanExporter::Stop() { thread_.Stop(); }

void SpanExporter::Run(ServiceThread::Lock& lock) {
  for (;;) {
    thread_.SleepFor(lock, kGather, [this] { return pending_.size() >= kMany; });
    const auto statements = std::exchange(pending_, {});
    const auto config = config_;
    const bool last = thread_.stopping();
    lock.unlock();
    if (!statements.empty()) Send(statements, config);
    if (last) return;
    lock.lock();
  }
}

void SpanExporter::Send(const std::vector<TracedStatement>& statements, const TracingConfig& config) {
  const std::uint64_t spans = SpansOf(statements);
  std::string answer;
  auto error =
      config.endpoint.empty() ? "tracing was switched off" : Post(config.endpoint, OtlpJson(statements, config.service), answer);
  auto lost = error.empty() ? 0 : spans;
  if (const auto refused = ReadAnswer(answer); error.empty() && refused.spans > 0) {
    lost = std::min(spans, refused.spans);
    error = "it refused them: " + refused.why;
  }
  sent_ += spans - lost;
  lost_ += lost;
  if (lost > 0) Log(LogLevel::kWarn, "spans_lost", {{"endpoint", config.endpoint}, {"spans", lost}, {"error", error}});
}

}  // namespace waypost
