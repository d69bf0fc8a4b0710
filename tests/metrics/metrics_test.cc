#include "metrics/worker_metrics.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "metrics/exporter.h"

namespace waypost {
namespace {

LabelTables Tables() {
  return {
      {"primary", "replica"}, {"read_safe", "write"}, {"", "listen"}, [] { return std::vector<std::string>{"pg0", "pg1"}; }, {}};
}

std::string TextOf(const WorkerMetrics& metrics) { return Exporter(Tables(), {&metrics}, {}).Text(); }

bool HasLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a count is found under its labels", "[metrics][worker]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  metrics->Count(Counter::kQueries, 1, 0);
  metrics->Count(Counter::kQueries, 1, 0);
  metrics->CountMany(Counter::kBytes, 500, Side::kServer, Direction::kOut);
  metrics->Count(Counter::kErrors, ErrorOrigin::kServer, SqlStateClassIndex("42P01"));
  CHECK(metrics->Read(Counter::kQueries, 1, 0) == 2);
  CHECK(metrics->Read(Counter::kQueries, 0, 1) == 0);
  const std::string text = TextOf(*metrics);
  CHECK(HasLine(text, "waypost_queries_total{target=\"replica\",reason=\"read_safe\"} 2"));
  CHECK(HasLine(text, "waypost_queries_total{target=\"primary\",reason=\"write\"} 0"));
  CHECK(HasLine(text, "waypost_bytes_total{side=\"server\",direction=\"out\"} 500"));
  CHECK(HasLine(text, "waypost_errors_total{origin=\"server\",sqlstate_class=\"42\"} 1"));
}

TEST_CASE("no two series share a cell", "[metrics][worker]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  std::uint64_t next = 1;
  for (std::size_t id = 0; id < kCounters.size(); ++id)
    for (std::size_t i = 0; i < InfoOf(kCounters[id].labels[0]).capacity; ++i)
      for (std::size_t j = 0; j < InfoOf(kCounters[id].labels[1]).capacity; ++j)
        metrics->CountMany(static_cast<Counter>(id), next++, i, j);
  for (std::size_t id = 0; id < kGauges.size(); ++id)
    for (std::size_t i = 0; i < InfoOf(kGauges[id].labels[0]).capacity; ++i)
      for (std::size_t j = 0; j < InfoOf(kGauges[id].labels[1]).capacity; ++j)
        metrics->SetGauge(static_cast<Gauge>(id), -1, i, j);
  for (std::size_t id = 0; id < kHistograms.size(); ++id)
    for (std::size_t i = 0; i < InfoOf(kHistograms[id].labels[0]).capacity; ++i)
      metrics->Observe(static_cast<Histogram>(id), i, std::chrono::seconds(1));
  std::uint64_t expected = 1;
  for (std::size_t id = 0; id < kCounters.size(); ++id)
    for (std::size_t i = 0; i < InfoOf(kCounters[id].labels[0]).capacity; ++i)
      for (std::size_t j = 0; j < InfoOf(kCounters[id].labels[1]).capacity; ++j)
        REQUIRE(metrics->Read(static_cast<Counter>(id), i, j) == expected++);
  REQUIRE(metrics->Read(Gauge::kServerConnections, 63, 2) == -1);
}

TEST_CASE("a label value out of range is not counted and touches nothing", "[metrics][worker]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  const std::string before = TextOf(*metrics);
  metrics->Count(Counter::kQueries, 99, 0);
  metrics->Count(Counter::kQueries, 0, 48);
  metrics->Count(Counter::kMisrouted, 64);
  metrics->SetGauge(Gauge::kServerConnections, 5, 64, 0);
  metrics->AddGauge(Gauge::kServerConnections, 5, 0, 3);
  metrics->Observe(Histogram::kPoolWait, 64, std::chrono::seconds(1));
  CHECK(TextOf(*metrics) == before);
  CHECK(metrics->Read(Counter::kQueries, 99, 0) == 0);
  CHECK(metrics->Read(Gauge::kServerConnections, 64, 0) == 0);
}

TEST_CASE("gauges go up and down, and the threads' are added", "[metrics][exporter]") {
  const auto one = std::make_unique<WorkerMetrics>();
  const auto other = std::make_unique<WorkerMetrics>();
  one->AddGauge(Gauge::kClientConnections, 7, ClientState::kIdle);
  one->AddGauge(Gauge::kClientConnections, -2, ClientState::kIdle);
  other->SetGauge(Gauge::kClientConnections, 3, ClientState::kIdle);
  one->Count(Counter::kParseErrors);
  other->Count(Counter::kParseErrors);
  const std::string text = Exporter(Tables(), {one.get(), other.get()}, {}).Text();
  CHECK(HasLine(text, "waypost_client_connections{state=\"idle\"} 8"));
  CHECK(HasLine(text, "waypost_parse_errors_total 2"));
}

TEST_CASE("a histogram's buckets are cumulative and inclusive", "[metrics][exporter]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  metrics->Observe(Histogram::kPoolWait, 1, std::chrono::nanoseconds(-5));
  metrics->Observe(Histogram::kPoolWait, 1, std::chrono::microseconds(100));
  metrics->Observe(Histogram::kPoolWait, 1, std::chrono::microseconds(101));
  metrics->Observe(Histogram::kPoolWait, 1, std::chrono::seconds(11));
  const std::string text = TextOf(*metrics);
  CHECK(HasLine(text, "waypost_pool_wait_seconds_bucket{server=\"pg1\",le=\"0.0001\"} 2"));
  CHECK(HasLine(text, "waypost_pool_wait_seconds_bucket{server=\"pg1\",le=\"0.00025\"} 3"));
  CHECK(HasLine(text, "waypost_pool_wait_seconds_bucket{server=\"pg1\",le=\"10\"} 3"));
  CHECK(HasLine(text, "waypost_pool_wait_seconds_bucket{server=\"pg1\",le=\"+Inf\"} 4"));
  CHECK(HasLine(text, "waypost_pool_wait_seconds_count{server=\"pg1\"} 4"));
  CHECK(HasLine(text, "waypost_pool_wait_seconds_sum{server=\"pg1\"} 11.000201"));
}

TEST_CASE("label values without a name are not shown", "[metrics][exporter]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  const std::string text = TextOf(*metrics);
  CHECK(HasLine(text, "waypost_session_pins_total{reason=\"listen\"} 0"));
  CHECK(text.find("reason=\"\"") == std::string::npos);
  CHECK(text.find("server=\"pg1\"") != std::string::npos);
}

TEST_CASE("what is computed at the scrape is shown with its labels", "[metrics][exporter]") {
  const std::string text = Exporter(Tables(), {}, {[](ScrapeOutput& output) {
                                      output.Add(Scraped::kServerRole, 1, {"pg0", "primary"});
                                      output.Add(Scraped::kSyncGuarantee, 1);
                                      output.Add(Scraped::kServerUp, 1, {"one", "too many"});
                                      AddProcessMetrics(output);
                                    }})
                               .Text();
  CHECK(HasLine(text, "waypost_server_role{server=\"pg0\",role=\"primary\"} 1"));
  CHECK(HasLine(text, "waypost_sync_guarantee_active 1"));
  CHECK(text.find("waypost_server_up") == std::string::npos);
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds", "process_threads"}) {
    CAPTURE(name);
    const auto at = text.find(std::string("\n") + name + " ");
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(text.substr(at + 2 + std::string(name).size())) >= 0);
  }
}

TEST_CASE("a scrape while a thread counts sees counters that never fall", "[metrics][exporter]") {
  const auto metrics = std::make_unique<WorkerMetrics>();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) {
      metrics->Count(Counter::kQueries, 0, 0);
      metrics->Observe(Histogram::kQueryDuration, 0, std::chrono::microseconds(3));
    }
  });
  std::uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(TextOf(*metrics).empty());
    const auto now = metrics->Read(Counter::kQueries, 0, 0);
    CHECK(now >= last);
    last = now;
  }
  stop = true;
  writer.join();
}

TEST_CASE("every metric has one name, ours, and help", "[metrics][worker]") {
  std::set<std::string_view> names;
  const auto check = [&](const MetricInfo& info, bool counter) {
    CAPTURE(info.name);
    CHECK(names.insert(info.name).second);
    CHECK(info.name.starts_with("waypost_"));
    CHECK(info.name.ends_with("_total") == counter);
    CHECK(info.help.ends_with("."));
  };
  for (const auto& info : kCounters) check(info, true);
  for (const auto& info : kGauges) check(info, false);
  for (const auto& info : kHistograms) {
    check(info, false);
    CHECK(info.name.ends_with("_seconds"));
  }
}

TEST_CASE("a SQLSTATE is counted under its class", "[metrics][labels]") {
  CHECK(label_values::kSqlStateClass[SqlStateClassIndex("42P01")] == "42");
  CHECK(label_values::kSqlStateClass[SqlStateClassIndex("XX000")] == "XX");
  CHECK(label_values::kSqlStateClass[SqlStateClassIndex("ZZ000")] == "other");
  CHECK(label_values::kSqlStateClass[SqlStateClassIndex("")] == "other");
}

}  // namespace waypost
