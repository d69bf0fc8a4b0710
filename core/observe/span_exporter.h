// Sends traced statements to the collector, OTLP/JSON over HTTP, on a thread of its own. Bounded: when the collector is
// slow or gone, statements are dropped and counted, and nobody waits. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/service_thread.h"
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
  void Run(ServiceThread::Lock& lock);
  void Send(const std::vector<TracedStatement>& statements, const TracingConfig& config);

  TracingConfig config_;                  // under its guard
  std::vector<TracedStatement> pending_;  // under its guard
  std::atomic<std::uint64_t> sent_{0}, lost_{0};
  ServiceThread thread_{"waypost-trace"};
};

}  // namespace waypost
