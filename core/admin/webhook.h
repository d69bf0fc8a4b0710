// Posts the important events to [admin] webhook, one JSON document each, in their order, on a thread of its own. Bounded: what the
// receiver does not take is tried again a few times, then dropped, counted and logged; nobody waits. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "core/admin/events.h"
#include "core/base/service_thread.h"
#include "core/base/time.h"
#include "core/config/config.h"

namespace waypost {

// Somebody should hear of it who is not looking: the servers, reads, and what an operator did. Pure.
[[nodiscard]] bool IsImportant(const AdminEvent& event);

// What is posted: the event as GET /api/v1/events has it, and which Waypost says so.
[[nodiscard]] std::string WebhookDocument(const AdminEvent& event);

struct WebhookOptions {
  std::size_t waiting = 256;  // events; one more, and the oldest of them is lost
  unsigned attempts = 6;  // of one event
  milliseconds pause{1'000};  // after the first attempt; twice as long after each further one: half a minute in all
  milliseconds limit{3'000};  // of one attempt
  milliseconds last_words{2'000};  // from Finish() on, for what waits
};

class Webhook {
 public:
  // Events, since the beginning.
  struct Counts {
    std::uint64_t sent = 0;  // the receiver answered 2xx
    std::uint64_t lost = 0;  // it did not, in all attempts; or too many waited
  };

  explicit Webhook(WebhookOptions options = {}) : options_(options) {}
  ~Webhook();
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  // Start and reload. The thread runs once there was a URL. What waits goes to the new one, at once.
  void Configure(const AdminConfig& config);
  // Takes it if it is important, and there is a URL.
  void Offer(const AdminEvent& event);
  // Takes no more. What waits is tried once, as long as `last_words` lasts.
  void Finish();
  // Finish(), and waits for the thread: no longer than one attempt.
  void Stop();

  [[nodiscard]] Counts counts() const { return {sent_, lost_}; }

 private:
  void Run(ServiceThread::Lock& lock);
  void Deliver(ServiceThread::Lock& lock, const AdminEvent& event);
  void Lose(const AdminEvent& event, std::string_view error);

  const WebhookOptions options_;
  // Under its guard.
  std::string url_, token_;
  std::uint64_t configured_ = 0;  // counts up
  std::deque<AdminEvent> waiting_;
  TimePoint ends_at_ = TimePoint::max();

  std::atomic<std::uint64_t> sent_{0}, lost_{0};
  ServiceThread thread_{"waypost-webhook"};
};

}  // namespace waypost
