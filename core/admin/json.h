// The JSON texts of the admin API: what it answers, and the questions it reads. Pure except for the age of samples, which
// is as of now.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/admin/api.h"
#include "core/base/result.h"

namespace waypost {

// RFC 9457.
[[nodiscard]] std::string ProblemJson(int status, std::string_view title, std::string_view detail);

// What the API has.
struct Endpoint {
  std::string_view method, path, about;
};
[[nodiscard]] std::string IndexJson(const std::vector<Endpoint>& endpoints);

struct StatusFacts {
  const View& view;  // may be null
  const RunStatus& run;
  const std::vector<const WorkerMetrics*>& threads;
  std::string not_ready;   // why; empty: ready
  std::string kept_reads;  // why every read runs on the primary; empty: replicas can take some
  std::chrono::system_clock::time_point started;
};
[[nodiscard]] std::string StatusJson(const StatusFacts& status);
[[nodiscard]] std::string ServersJson(const View& view, const FenceReport& fence,
                                      const std::vector<const WorkerMetrics*>& threads, const Deadlines& deadlines = {});
// The one of that name, as it is among them; "null" if there is none.
[[nodiscard]] std::string OneServerJson(const std::string& name, const View& view, const FenceReport& fence,
                                        const std::vector<const WorkerMetrics*>& threads, const Deadlines& deadlines);

// "2026-11-27T05:00:00.123Z"
[[nodiscard]] std::string Rfc3339(std::chrono::system_clock::time_point time);

// The error says what of the body was found and what was expected.
[[nodiscard]] Result<RouteQuestion> ReadRouteQuestion(const std::string& text, const std::string& default_database);
[[nodiscard]] std::string RouteJson(const RouteQuestion& question, const RouteAnswer& answer);

enum class DigestOrder : std::uint8_t { kCalls, kTime, kRows, kErrors, kFallbacks };
struct DigestQuestion {
  DigestOrder order = DigestOrder::kTime;
  std::size_t limit = 50;
};
[[nodiscard]] Result<DigestQuestion> ReadDigestQuestion(const std::map<std::string, std::string>& query);
[[nodiscard]] std::string DigestsJson(DigestReport report, DigestQuestion question);

// What shadow mode has counted; of the digests, what kept most statements on the primary.
[[nodiscard]] std::string ShadowJson(const std::vector<const WorkerMetrics*>& threads, const DigestReport& report);

}  // namespace waypost
