#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/console/rows.h"

namespace waypost {
namespace {

// In the order of PgBouncer's columns.
std::vector<std::string> Totals(const TrafficCounts& counts) {
  return {Text(counts.assignments),
          Text(counts.transactions),
          Text(counts.batches),
          Text(counts.received),
          Text(counts.sent),
          Text(Microseconds(counts.transaction_time)),
          Text(Microseconds(counts.batch_time)),
          Text(Microseconds(counts.wait_time)),
          Text(counts.parses),
          Text(counts.server_parses),
          Text(counts.binds)};
}

// Per second of the last whole period; times per transaction and statement.
std::vector<std::string> Averages(const DatabaseTraffic& traffic) {
  const auto& last = traffic.last;
  const auto period = std::max<std::int64_t>(1, Microseconds(traffic.period));
  constexpr std::uint64_t kMillion = 1'000'000;
  const auto a_second = [&](std::uint64_t count) { return Text(count * kMillion / static_cast<std::uint64_t>(period)); };
  const auto each = [](Duration time, std::uint64_t count) {
    return Text(count == 0 ? 0 : static_cast<std::uint64_t>(Microseconds(time)) / count);
  };
  return {a_second(last.assignments),
          a_second(last.transactions),
          a_second(last.batches),
          a_second(last.received),
          a_second(last.sent),
          each(last.transaction_time, last.transactions),
          each(last.batch_time, last.batches),
          a_second(static_cast<std::uint64_t>(Microseconds(last.wait_time))),
          a_second(last.parses),
          a_second(last.server_parses),
          a_second(last.binds)};
}

template <class... Parts>
Table TrafficRows(const ConsoleFactsRef& facts, Parts... parts) {
  std::vector<Row> rows;
  for (const auto& [name, traffic] : facts->traffic.databases) {
    Row row{name};
    const auto add = [&row](std::vector<std::string> cells) {
      for (auto& cell : cells) row.emplace_back(std::move(cell));
    };
    (add(parts(traffic)), ...);
    rows.push_back(std::move(row));
  }
  return TableOf(std::move(rows));
}

std::vector<std::string> TotalsOf(const DatabaseTraffic& traffic) { return Totals(traffic.total); }

// What exporters look for that know PgBouncer from before 1.8, as Debian's does.
std::vector<std::string> Requests(const DatabaseTraffic& traffic) { return {Text(traffic.total.batches)}; }

}  // namespace

Table ShowStats(const ConsoleFactsRef& facts) { return TrafficRows(facts, TotalsOf, Averages, Requests); }
Table ShowStatsTotals(const ConsoleFactsRef& facts) { return TrafficRows(facts, TotalsOf); }
Table ShowStatsAverages(const ConsoleFactsRef& facts) { return TrafficRows(facts, Averages); }

Table ShowTotals(const ConsoleFactsRef& facts) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"total_server_assignment_count", "total_xact_count", "total_query_count", "total_received",
                                       "total_sent", "total_xact_time", "total_query_time", "total_wait_time",
                                       "total_client_parse_count", "total_server_parse_count", "total_bind_count"});
  TrafficCounts sum;
  for (const auto& [name, traffic] : facts->traffic.databases) sum.Add(traffic.total);
  std::vector<Row> rows;
  const auto totals = Totals(sum);
  rows.reserve(kNames.size());
  for (std::size_t i = 0; i < kNames.size(); ++i) rows.push_back({std::string(kNames[i]), totals[i]});
  return TableOf(std::move(rows));
}

}  // namespace waypost
