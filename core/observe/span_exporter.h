// Sends traced statements to the collector, OTLP/JSON over HTTP, on a thread of its own. Bounded: when the collector is
// slow or gone, statements are dropped and counted, and nobody waits. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/config/config.h"
#include "core/observe/trace.h"

namespace waypost {

class SpanExporter {
 public:
  // Statements that wait to be sent.
  static constexpr std::size_t kMaxPending = 4096;

  // Spans, since the beginning.
  struct Counts {
    std::uint64_t sent = 0;  // the collector has taken them
    std::uint64_t lost = 0;  // too many waited, or the collector did not take them
  };

  SpanExporter() = default;
  ~SpanExporter();  // what waits is lost
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Start and reload. The thread runs once there was an endpoint.
  void Configure(const TracingConfig& config);
  void Offer(TracedStatement statement);
  // What waits is sent, once; then the thread ends. Takes as long as a request may.
  void Stop();

  [[nodiscard]] Counts counts() const { return {sent_, lost_}; }

 private:
  void Run();
  void Send(const std::vector<TracedStatement>& statements, const TracingConfig& config);

  std::mutex mutex_;
  std::condition_variable came_;
  TracingConfig config_;
  std::vector<TracedStatement> pending_;
  bool ends_ = false;
  std::thread thread_;
  std::atomic<std::uint64_t> sent_{0}, lost_{0};
};

}  // namespace waypost
