#include "core/observe/span_exporter.h"

#include <curl/curl.h>
#include <pthread.h>

#include <memory>
#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

constexpr seconds kGather{1};  // between two requests
constexpr std::size_t kMany = 512;  // or as soon as so many wait
constexpr long kConnectMs = 1'000, kAnswerMs = 3'000;

std::size_t Discard(char* /*data*/, std::size_t one, std::size_t size, void* /*to*/) { return one * size; }

// "" if the collector took it, else why not.
std::string Post(const std::string& url, const std::string& body) {
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), &curl_easy_cleanup);
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(curl_slist_append(nullptr, "Content-Type: application/json"),
                                                                   &curl_slist_free_all);
  if (!curl || !headers) return "libcurl cannot be used";
  const auto set = [&](CURLoption option, auto value) { (void)curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  set(CURLOPT_TIMEOUT_MS, kAnswerMs);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  set(CURLOPT_POSTFIELDS, body.c_str());
  set(CURLOPT_WRITEFUNCTION, &Discard);
  if (const auto code = curl_easy_perform(curl.get()); code != CURLE_OK) return curl_easy_strerror(code);
  long status = 0;
  (void)curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300 ? "" : "it answered with the status " + std::to_string(status);
}

std::size_t SpansOf(const std::vector<TracedStatement>& statements) {
  std::size_t spans = 0;
  for (const auto& statement : statements) spans += waypost::SpansOf(statement);
  return spans;
}

}  // namespace

SpanExporter::~SpanExporter() {
  {
    const std::scoped_lock lock(mutex_);
    pending_.clear();
  }
  Stop();
}

void SpanExporter::Configure(const TracingConfig& config) {
  const std::scoped_lock lock(mutex_);
  config_ = config;
  if (!config_.endpoint.empty() && !thread_.joinable() && !ends_) thread_ = std::thread([this] { Run(); });
}

void SpanExporter::Offer(TracedStatement statement) {
  const std::scoped_lock lock(mutex_);
  if (pending_.size() >= kMaxPending || config_.endpoint.empty()) {
    lost_ += waypost::SpansOf(statement);
    return;
  }
  pending_.push_back(std::move(statement));
  if (pending_.size() == kMany) came_.notify_one();
}

void SpanExporter::Stop() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  came_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SpanExporter::Run() {
  pthread_setname_np(pthread_self(), "waypost-trace");
  for (std::unique_lock lock(mutex_);;) {
    came_.wait_for(lock, kGather, [this] { return ends_ || pending_.size() >= kMany; });
    const auto statements = std::exchange(pending_, {});
    const auto config = config_;
    const bool last = ends_;
    lock.unlock();
    if (!statements.empty()) Send(statements, config);
    if (last) return;
    lock.lock();
  }
}

void SpanExporter::Send(const std::vector<TracedStatement>& statements, const TracingConfig& config) {
  const auto spans = SpansOf(statements);
  const auto error =
      config.endpoint.empty() ? "tracing was switched off" : Post(config.endpoint, OtlpJson(statements, config.service));
  (error.empty() ? sent_ : lost_) += spans;
  if (!error.empty()) Log(LogLevel::kWarn, "spans_lost", {{"endpoint", config.endpoint}, {"spans", spans}, {"error", error}});
}

}  // namespace waypost
