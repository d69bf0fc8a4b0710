#include "core/admin/webhook.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace waypost {
namespace {

constexpr seconds kPatience{20};  // for what must happen

// An HTTP server that answers the first requests with these statuses, and all later ones with the last of them.
// 0: it closes the connection without an answer. -1: it never answers.
class Receiver {
 public:
  explicit Receiver(std::vector<int> statuses = {204})
      : statuses_(std::move(statuses)), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(socket_, 16) == 0);
    REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Receiver() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
    for (const int held : held_) close(held);
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook/secret"; }
  // The requests, head and body, once there are so many.
  std::vector<std::string> Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, kPatience, [&] { return requests_.size() >= count; });
    REQUIRE(requests_.size() >= count);
    return requests_;
  }

 private:
  void Run() {
    for (std::size_t n = 0;; ++n) {
      const int client = accept(socket_, nullptr, nullptr);
      if (client < 0) return;
      const int status = statuses_[std::min(n, statuses_.size() - 1)];
      auto request = Read(client);
      if (status > 0) {
        const auto answer = "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      }
      if (status < 0) held_.push_back(client);
      else close(client);
      const std::scoped_lock lock(mutex_);
      requests_.push_back(std::move(request));
      came_.notify_all();
    }
  }

  static std::string Read(int client) {
    std::string text;
    std::string part(4096, '\0');
    for (;;) {
      const auto head = text.find("\r\n\r\n");
      if (head != std::string::npos) {
        const auto at = text.find("Content-Length: ");
        if (text.size() >= head + 4 + std::stoul(text.substr(at + 16))) return text;
      }
      const auto got = recv(client, part.data(), part.size(), 0);
      if (got <= 0) return text;
      text.append(part, 0, static_cast<std::size_t>(got));
    }
  }

  const std::vector<int> statuses_;
  const int socket_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> requests_;
  std::vector<int> held_;
  std::thread thread_;
};

AdminEvent Event(std::uint64_t id, std::string kind = "server_down") {
  return {id,   std::chrono::system_clock::time_point(seconds(1'700'000'000)), std::move(kind), "warning", "pg1 does not answer",
          "pg1"};
}

AdminConfig To(const std::string& url, const std::string& token = "") {
  AdminConfig config;
  config.webhook = url;
  config.webhook_token = token;
  return config;
}

std::string BodyOf(const std::string& request) { return request.substr(request.find("\r\n\r\n") + 4); }
auto IdOf(const std::string& request) { return nlohmann::json::parse(BodyOf(request))["id"].get<std::uint64_t>(); }

// Quick, so that a test takes no time; patient where one attempt is concerned, for the machine may be slow.
constexpr WebhookOptions kQuick{.waiting = 4, .attempts = 3, .pause = milliseconds{1}, .limit = milliseconds{10'000}};

void AwaitLost(const Webhook& webhook, std::uint64_t lost) {
  const auto deadline = Clock::now() + kPatience;
  while (webhook.counts().lost < lost && Clock::now() < deadline) std::this_thread::yield();
  CHECK(webhook.counts().lost == lost);
}

}  // namespace

TEST_CASE("an important event is posted as JSON, with the token", "[core][admin][webhook]") {
  Receiver receiver;
  Webhook webhook(kQuick);
  webhook.Configure(To(receiver.url(), "abc"));
  webhook.Offer(Event(7));
  const auto request = receiver.Await(1).front();
  CHECK(request.starts_with("POST /hook/secret HTTP/1.1\r\n"));
  CHECK(request.find("\r\nAuthorization: Bearer abc\r\n") != std::string::npos);
  CHECK(request.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  const auto document = nlohmann::json::parse(BodyOf(request));
  CHECK(document["id"] == 7);
  CHECK(document["time"] == "2023-11-14T22:13:20.000Z");
  CHECK(document["kind"] == "server_down");
  CHECK(document["level"] == "warning");
  CHECK(document["text"] == "pg1 does not answer");
  CHECK(document["server"] == "pg1");
  CHECK(document["waypost"]["pid"] == getpid());
  CHECK(document["waypost"]["version"].is_string());
  webhook.Stop();
  CHECK(webhook.counts().sent == 1);
  CHECK(webhook.counts().lost == 0);
}

TEST_CASE("what is not important, and what comes while there is no webhook, is not posted", "[core][admin][webhook]") {
  Receiver receiver;
  Webhook webhook(kQuick);
  webhook.Offer(Event(1));
  webhook.Configure(To(receiver.url()));
  webhook.Offer(Event(2, "replica_ineligible"));
  webhook.Offer(Event(3, "reload"));
  auto bad = Event(4, "reload");
  bad.level = "error";
  webhook.Offer(bad);
  webhook.Offer(Event(5, "change"));
  const auto requests = receiver.Await(2);
  CHECK(IdOf(requests[0]) == 4);
  CHECK(IdOf(requests[1]) == 5);
  CHECK(requests[0].find("Authorization") == std::string::npos);
  webhook.Stop();
  CHECK(webhook.counts().sent == 2);
}

TEST_CASE("what may be taken later is tried again, in order", "[core][admin][webhook]") {
  const int refusal = GENERATE(0, 408, 429, 500, 503);
  CAPTURE(refusal);
  Receiver receiver({refusal, refusal, 200});
  Webhook webhook(kQuick);
  webhook.Configure(To(receiver.url()));
  webhook.Offer(Event(1));
  webhook.Offer(Event(2));
  const auto requests = receiver.Await(4);
  std::vector<std::uint64_t> ids;
  for (const auto& request : requests) ids.push_back(IdOf(request));
  CHECK(ids == std::vector<std::uint64_t>{1, 1, 1, 2});
  webhook.Stop();
  CHECK(webhook.counts().sent == 2);
}

TEST_CASE("what would be refused again is lost at once, the rest after all attempts", "[core][admin][webhook]") {
  const auto [status, asked] = GENERATE(table<int, std::size_t>({{400, 1}, {404, 1}, {301, 1}, {500, 3}, {0, 3}}));
  CAPTURE(status);
  Receiver receiver({status});
  Webhook webhook(kQuick);
  webhook.Configure(To(receiver.url()));
  webhook.Offer(Event(1));
  AwaitLost(webhook, 1);
  CHECK(receiver.Await(asked).size() == asked);
}

TEST_CASE("of more events than may wait the oldest are lost; a reload sends the others elsewhere, at once",
          "[core][admin][webhook]") {
  Receiver dead({500}), alive;
  auto options = kQuick;
  options.pause = std::chrono::hours(1);
  Webhook webhook(options);
  webhook.Configure(To(dead.url()));
  webhook.Offer(Event(1));
  (void)dead.Await(1);  // it is tried again in an hour
  for (std::uint64_t id = 2; id <= 7; ++id) webhook.Offer(Event(id));
  CHECK(webhook.counts().lost == 2);  // four wait, beside the one that is tried
  webhook.Configure(To(alive.url()));
  std::vector<std::uint64_t> ids;
  for (const auto& request : alive.Await(5)) ids.push_back(IdOf(request));
  CHECK(ids == std::vector<std::uint64_t>{1, 4, 5, 6, 7});
  webhook.Stop();
  CHECK(webhook.counts().sent == 5);
}

TEST_CASE("at the end what waits is sent, but a receiver that hangs is not waited for", "[core][admin][webhook]") {
  SECTION("it takes them") {
    Receiver receiver({500, 204});
    auto options = kQuick;
    options.pause = std::chrono::hours(1);
    options.last_words = kPatience;
    Webhook webhook(options);
    webhook.Configure(To(receiver.url()));
    webhook.Offer(Event(1));
    (void)receiver.Await(1);
    webhook.Offer(Event(2));
    webhook.Finish();
    webhook.Offer(Event(3));  // comes too late
    webhook.Stop();
    CHECK(webhook.counts().sent == 2);
    CHECK(webhook.counts().lost == 0);
  }
  SECTION("it hangs") {
    Receiver receiver({-1});
    auto options = kQuick;
    options.limit = milliseconds{100};
    options.last_words = milliseconds{0};
    Webhook webhook(options);
    webhook.Configure(To(receiver.url()));
    webhook.Offer(Event(1));
    (void)receiver.Await(1);
    for (std::uint64_t id = 2; id <= 4; ++id) webhook.Offer(Event(id));
    webhook.Stop();
    CHECK(webhook.counts().sent == 0);
    CHECK(webhook.counts().lost == 4);
  }
}

}  // namespace waypost
