// Tracing: which statements are traced ([tracing]), and what is told of one, in the form that OpenTelemetry's collectors take
// (OTLP/JSON). Pure.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/config.h"
#include "parser/sql/trace_parent.h"

namespace waypost {

class TraceChoice {
 public:
  void Configure(const TracingConfig& config);

  // False: no statement is traced.
  [[nodiscard]] bool on() const { return on_; }
  // Whether one is traced that belongs to `parent`'s trace, if it says that it belongs to one: whoever began that has decided. Else
  // a share is. `random`: any number, evenly spread.
  [[nodiscard]] bool Wants(const std::optional<TraceParent>& parent, std::uint32_t random) const {
    return parent ? parent->sampled : random < sampled_;
  }

 private:
  bool on_ = false;
  std::uint64_t sampled_ = 0;  // of 2^32
};

// One batch of a client, from its last byte received to its answer sent.
struct TracedStatement {
  // Of it, counted from its beginning. Empty: it did not come to that.
  struct Phase {
    Duration after{}, took{};
  };
  std::array<char, 32> trace{};
  std::array<char, 16> span{};
  std::optional<std::array<char, 16>> parent;
  std::chrono::system_clock::time_point began;
  Duration took{};
  Phase pool, fence, server;  // each in one piece, however often it waited
  std::string text;  // of its first statement, without literals
  std::string session, client, user, database, application, server_name, target, reason, sqlstate;  // "": none
  std::uint64_t rows = 0, bytes = 0, statements = 0;
};

// The span of the statement, and one for each of its phases.
[[nodiscard]] std::size_t SpansOf(const TracedStatement& statement);

// The body of a request to /v1/traces. What is no UTF-8 becomes U+FFFD.
[[nodiscard]] std::string OtlpJson(std::span<const TracedStatement> statements, std::string_view service);

// What a collector that took the request says it did not take of it: ExportTraceServiceResponse. Of anything else: nothing.
struct RefusedSpans {
  std::uint64_t spans = 0;
  std::string why;  // may be a warning though it took all
};
[[nodiscard]] RefusedSpans ReadAnswer(std::string_view answer);

// An id of 16 or 32 digits from numbers evenly spread. Never all 0.
template <std::size_t N, class Random>
[[nodiscard]] std::array<char, N> NewTraceId(Random random) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<char, N> id{};
  for (std::size_t i = 0; i < N; i += 8) {
    const std::uint32_t number = random();
    for (std::size_t j = 0; j < 8; ++j) id[i + j] = kDigits[number >> (4 * j) & 15U];
  }
  if (std::string_view(id.data(), N).find_first_not_of('0') == std::string_view::npos) id.back() = '1';
  return id;
}

}  // namespace waypost
