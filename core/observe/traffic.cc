#include "core/observe/traffic.h"

#include <algorithm>

namespace waypost {
namespace {

template <class Change>
void ForEach(TrafficCounts& a, const TrafficCounts& b, Change change) {
  change(a.assignments, b.assignments);
  change(a.transactions, b.transactions);
  change(a.batches, b.batches);
  change(a.received, b.received);
  change(a.sent, b.sent);
  change(a.parses, b.parses);
  change(a.binds, b.binds);
  change(a.server_parses, b.server_parses);
  change(a.transaction_time, b.transaction_time);
  change(a.batch_time, b.batch_time);
  change(a.wait_time, b.wait_time);
}

}  // namespace

void TrafficCounts::Add(const TrafficCounts& other) {
  ForEach(*this, other, [](auto& mine, const auto& theirs) { mine += theirs; });
}

TrafficCounts TrafficCounts::Since(const TrafficCounts& before) const {
  auto grown = *this;
  ForEach(grown, before, [](auto& mine, const auto& theirs) { mine -= theirs; });
  return grown;
}

void DatabaseTraffic::Add(const DatabaseTraffic& other) {
  total.Add(other.total);
  last.Add(other.last);
  period = std::max(period, other.period);
}

void TrafficReport::Add(const TrafficReport& other) {
  for (const auto& [name, traffic] : other.databases) databases[name].Add(traffic);
  workers_missing += other.workers_missing;
}

void Traffic::Turn(TimePoint now) {
  if (period_began_ == TimePoint{}) period_began_ = now;
  const auto passed = now - period_began_;
  if (passed < kTrafficPeriod) return;
  period_began_ = now;
  for (auto& [name, kept] : databases_) {
    kept.now.last = kept.now.total.Since(kept.began);
    kept.now.period = passed;
    kept.began = kept.now.total;
  }
}

TrafficReport Traffic::Report() const {
  TrafficReport report;
  for (const auto& [name, kept] : databases_) report.databases[name] = kept.now;
  return report;
}

}  // namespace waypost
