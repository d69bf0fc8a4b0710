#include "core/admin/webhook.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/log.h"
#include "core/net/http.h"

namespace waypost {
namespace {

using nlohmann::json;

constexpr milliseconds kConnectLimit{2'000};
// Replicas that may be read from now and then are no news; that none may is ("reads_on_primary").
constexpr std::array<std::string_view, 12> kImportant = {
    "primary_changed",  "primary_lost",      "server_up", "server_down", "server_deposed", "wal_lost",
    "reads_on_primary", "reads_on_replicas", "pause",     "resume",      "change",         "upgrade_failed"};

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Scheme, host and port: the path of such a URL is often a secret.
std::string Origin(std::string_view url) {
  const auto host = url.find("//");
  if (host == std::string_view::npos) return "";
  const auto end = std::min(url.find_first_of("/?#", host + 2), url.size());
  const auto at = url.substr(0, end).rfind('@');  // a user and a password
  return std::string(url.substr(0, host + 2)) +
         std::string(url.substr(0, end).substr(at == std::string_view::npos ? host + 2 : at + 1));
}

struct Outcome {
  std::string error;   // "": it was taken
  bool hopeless = false;  // it would be refused again
};

Outcome Post(const std::string& url, const std::string& token, const std::string& body, milliseconds limit) {
  HttpRequest request{.method = "POST",
                      .url = url,
                      .headers = {"Content-Type: application/json", "User-Agent: waypost/" WAYPOST_VERSION},
                      .body = body,
                      .connect_limit = std::min(kConnectLimit, limit),
                      .limit = limit};
  if (!token.empty()) request.headers.push_back("Authorization: Bearer " + token);
  const auto status = SendHttp(request);
  if (!status) return {status.error()};
  if (*status >= 200 && *status < 300) return {};
  // 408, 425 and 429 ask to try again later; so does whoever has a fault of its own.
  const bool later = *status == 408 || *status == 425 || *status == 429 || *status >= 500;
  return {"it answered with the status " + std::to_string(*status), !later};
}

}  // namespace

bool IsImportant(const AdminEvent& event) {
  return event.level == "error" || std::find(kImportant.begin(), kImportant.end(), event.kind) != kImportant.end();
}

std::string WebhookDocument(const AdminEvent& event) {
  json document = EventJson(event);
  document["waypost"] = {{"host", HostName()}, {"pid", getpid()}, {"version", WAYPOST_VERSION}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Webhook::~Webhook() { Stop(); }

void Webhook::Configure(const AdminConfig& config) {
  {
    const auto lock = thread_.guard();
    if (url_ == config.webhook && token_ == config.webhook_token) return;
    url_ = config.webhook;
    token_ = config.webhook_token;
    ++configured_;
  }
  if (!config.webhook.empty()) thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
  thread_.Wake();
}

void Webhook::Offer(const AdminEvent& event) {
  if (!IsImportant(event)) return;
  {
    const auto lock = thread_.guard();
    if (url_.empty() || thread_.stopping()) return;
    waiting_.push_back(event);
    if (waiting_.size() > options_.waiting) {
      Lose(waiting_.front(), "too many events wait");
      waiting_.pop_front();
    }
  }
  thread_.Wake();
}

void Webhook::Finish() {
  {
    const auto lock = thread_.guard();
    if (ends_at_ == TimePoint::max()) ends_at_ = Clock::now() + options_.last_words;
  }
  thread_.AskToEnd();
}

void Webhook::Stop() {
  Finish();
  thread_.Stop();
}

void Webhook::Run(ServiceThread::Lock& lock) {
  for (;;) {
    thread_.Sleep(lock, [this] { return !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto event = std::move(waiting_.front());
    waiting_.pop_front();
    Deliver(lock, event);
  }
}

// Held when it begins and when it ends, but not while it waits.
void Webhook::Deliver(ServiceThread::Lock& lock, const AdminEvent& event) {
  const auto document = WebhookDocument(event);
  auto pause = options_.pause;
  for (unsigned attempt = 1;; ++attempt, pause *= 2) {
    auto limit = options_.limit;
    if (thread_.stopping()) limit = std::min(limit, std::chrono::duration_cast<milliseconds>(ends_at_ - Clock::now()));
    if (limit.count() <= 0) return Lose(event, "Waypost ends");
    if (url_.empty()) return Lose(event, "the webhook was switched off");
    const auto url = url_, token = token_;
    const auto configured = configured_;
    const bool last = thread_.stopping() || attempt >= options_.attempts;
    lock.unlock();
    const auto outcome = Post(url, token, document, limit);
    lock.lock();
    if (outcome.error.empty()) {
      ++sent_;
      return;
    }
    if (last || (outcome.hopeless && configured == configured_)) return Lose(event, outcome.error);
    thread_.SleepFor(lock, pause, [&] { return configured != configured_; });
  }
}

// Under the mutex.
void Webhook::Lose(const AdminEvent& event, std::string_view error) {
  ++lost_;
  Log(LogLevel::kWarn, "webhook_lost", {{"to", Origin(url_)}, {"event", event.kind}, {"id", event.id}, {"error", error}});
}

}  // namespace waypost
