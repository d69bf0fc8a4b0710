#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/console/rows.h"
#include "metrics/labels.h"
#include "parser/sql/verdict.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxDigestsShown = 100;

template <class Value>
std::uint64_t SumOver(const ConsoleFacts& facts, Value value) {
  std::uint64_t sum = 0;
  for (const auto* thread : facts.threads) sum += static_cast<std::uint64_t>(value(*thread));
  return sum;
}

}  // namespace

Table ShowRoutes(const ConsoleFactsRef& facts) {
  std::vector<Row> rows;
  for (int t = 0; t < static_cast<int>(Target::kCount); ++t)
    for (int r = 0; r < static_cast<int>(Reason::kCount); ++r) {
      const auto target = static_cast<Target>(t);
      const auto reason = static_cast<Reason>(r);
      const auto count = SumOver(*facts, [&](const WorkerMetrics& one) { return one.Read(Counter::kQueries, target, reason); });
      if (count > 0) rows.push_back({std::string(TargetName(target)), std::string(ReasonName(reason)), Text(count)});
    }
  return TableOf(std::move(rows));
}

Table ShowPins(const ConsoleFactsRef& facts) {
  std::vector<Row> rows;
  for (int p = 1; p < static_cast<int>(PinReason::kCount); ++p) {
    const auto pin = static_cast<PinReason>(p);
    const auto now = SumOver(*facts, [&](const WorkerMetrics& one) { return one.Read(Gauge::kSessionsPinned, pin); });
    const auto pins = SumOver(*facts, [&](const WorkerMetrics& one) { return one.Read(Counter::kSessionPins, pin); });
    const auto unpins = SumOver(*facts, [&](const WorkerMetrics& one) { return one.Read(Counter::kSessionUnpins, pin); });
    rows.push_back({std::string(PinReasonName(pin)), Text(now), Text(pins), Text(unpins)});
  }
  return TableOf(std::move(rows));
}

Table ShowDigests(const ConsoleFactsRef& facts) {
  auto digests = facts->digests.digests;
  const auto shown = std::min(kMaxDigestsShown, digests.size());
  std::partial_sort(digests.begin(), digests.begin() + static_cast<std::ptrdiff_t>(shown), digests.end(),
                    [](const Digest& a, const Digest& b) { return a.total > b.total; });
  std::vector<Row> rows;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& digest = digests[i];
    rows.push_back({digest.database, digest.user, Text(digest.calls), Text(Microseconds(digest.total)),
                    Text(Microseconds(digest.max)), Text(digest.rows), Text(digest.errors), Text(digest.on_primary),
                    Text(digest.on_replica), std::string(ReasonName(digest.verdict)), std::string(ReasonName(digest.last_reason)),
                    *digest.text});
  }
  return TableOf(std::move(rows));
}

Table ShowFence(const ConsoleFactsRef& facts) {
  std::vector<Row> rows;
  if (!facts->view) return {};
  const auto& view = *facts->view;
  for (ServerId id = 0; id < view.servers.size(); ++id) {
    const auto& server = view.servers[id];
    if (server.removed) continue;
    const bool primary = view.primary == id;
    const auto known = id < facts->fence.servers.size();
    const auto why = primary ? "" : !server.eligible ? server.ineligible_why : facts->fence.WhyUnproved(id);
    rows.push_back({server.name,
                    primary                         ? "primary"
                    : server.role == Role::kReplica ? "replica"
                                                    : "unknown",
                    primary ? FormatLsn(facts->fence.position)
                    : known ? FormatLsn(facts->fence.servers[id].replay)
                            : Cell(),
                    Text(server.lag_bytes), known ? Text(facts->fence.servers[id].proving) : "0", why});
  }
  return TableOf(std::move(rows));
}

}  // namespace waypost
