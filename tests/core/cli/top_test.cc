#include "core/cli/top.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/cli/render.h"

namespace waypost {
namespace {

TopSample Sample(int second, int reads, int writes, int calls) {
  TopSample sample;
  sample.at = std::chrono::steady_clock::time_point(std::chrono::seconds(second));
  sample.status =
      R"({"version": "9", "uptime_seconds": 7, "ready": true, "primary": "pg0", "held_statements": 0, "clients": {"active": 2, "max": 10},
                      "warnings": ["odd \u001b[2J"]})";
  sample.cluster = R"({"paused": null})";
  sample.servers = R"({"servers": [{"name": "pg0", "role": "primary", "up": true, "lag_ms": null},
                                   {"name": "pg1", "role": "replica", "up": true, "lag_ms": 3.5, "ineligible_why": "slow"}]})";
  sample.pools =
      R"({"pools": [{"server": "quiet", "busy": 0, "waiting": 0}, {"server": "pg0", "user": "u", "database": "d", "busy": 2, "waiting": 0},
                               {"server": "pg1", "user": "u", "database": "d", "busy": 1, "waiting": 4}]})";
  sample.sessions = R"({"total": 1, "sessions": [{"id": "0-7", "user": "u", "statement": "SELECT ?"}]})";
  sample.digests =
      R"({"digests": [{"database": "d", "user": "u", "text": "SELECT old", "calls": 50, "total_ms": 5000.0, "on_primary": 50},
                                   {"database": "d", "user": "u", "text": "SELECT new", "calls": )" +
      std::to_string(calls) + R"(, "total_ms": )" + std::to_string(calls * 2) + R"(.0, "on_replica": )" + std::to_string(calls) +
      "}]}";
  sample.metrics = "# HELP\nwaypost_queries_total{reason=\"read_safe\",target=\"replica\"} " + std::to_string(reads) +
                   "\nwaypost_queries_total{reason=\"write\",target=\"primary\"} " + std::to_string(writes) +
                   "\nwaypost_queries_total{ nonsense\n";
  return sample;
}

}  // namespace

TEST_CASE("top tells what went on between two samples", "[core][cli]") {
  const auto facts = nlohmann::json::parse(TopJson(Sample(10, 100, 10, 20), Sample(12, 300, 50, 60)));
  CHECK(facts["interval_s"] == 2.0);
  CHECK(facts["statements_per_s"] == 120.0);
  CHECK(facts["traffic"][0] ==
        nlohmann::json({{"target", "replica"}, {"reason", "read_safe"}, {"per_s", 100.0}, {"total", 300.0}}));
  REQUIRE(facts["digests"].size() == 1);  // the other did not run
  CHECK(facts["digests"][0]["statement"] == "SELECT new");
  CHECK(facts["digests"][0]["calls_per_s"] == 20.0);
  CHECK(facts["digests"][0]["mean_ms"] == 2.0);
  CHECK(facts["digests"][0]["replica_per_s"] == 20.0);
  REQUIRE(facts["pools"].size() == 2);
  CHECK(facts["pools"][0]["server"] == "pg1");
  CHECK(facts["waiting"][0]["id"] == "0-7");
}

TEST_CASE("top counts anew after a restart, and bears answers of nothing", "[core][cli]") {
  const auto facts = nlohmann::json::parse(TopJson(Sample(10, 100, 10, 20), Sample(11, 7, 0, 3)));
  CHECK(facts["statements_per_s"] == 7.0);
  CHECK(facts["digests"][0]["calls_per_s"] == 3.0);
  CHECK(nlohmann::json::parse(TopJson({}, {}))["traffic"].empty());
  CHECK_FALSE(TopScreen({}, {}, {}).empty());
}

TEST_CASE("a trace is a line for each statement, and none steers the terminal", "[core][cli]") {
  const auto trace =
      TraceOf(R"({"active": true, "last": 9, "lost": 2, "statements": [{"id": 8, "began": "2026-11-27T05:00:00.123Z",
      "statement": "SELECT \u001b[2J", "target": "primary", "reason": "write", "server": "pg0", "pin": "temp", "sqlstate": "22012",
      "took_ms": 12.0, "pool_ms": 0.0, "fence_ms": 1.5, "server_ms": 10.0, "rows": 3}]})");
  CHECK(trace.active);
  CHECK(trace.last == 9);
  CHECK(trace.shown == 8);
  CHECK(trace.lost == 2);
  REQUIRE(trace.statements.size() == 1);
  CHECK(trace.statements[0].first ==
        "05:00:00.123  primary write  pg0  12 ms (fence 1.50 ms, server 10 ms)  3 rows  tied: temp  ERROR 22012  SELECT  [2J");
  CHECK(nlohmann::json::parse(trace.statements[0].second)["rows"] == 3);
  CHECK_FALSE(TraceOf("nonsense").active);
}

TEST_CASE("top's screen fits, and each part has its share of it", "[core][cli]") {
  const auto rows = GENERATE(std::size_t{5}, std::size_t{12}, std::size_t{24}, std::size_t{100});
  const auto columns = GENERATE(std::size_t{20}, std::size_t{80}, std::size_t{200});
  CAPTURE(rows, columns);
  const auto lines = TopScreen(Sample(10, 100, 10, 20), Sample(12, 300, 50, 60), {.columns = columns, .rows = rows});
  CHECK(lines.size() <= rows);
  std::string text;
  for (const auto& line : lines) {
    CHECK(line.text.size() <= columns);
    text += line.text + "\n";
  }
  CHECK(text.find('\x1B') == std::string::npos);
  CHECK(text.find("waypost 9") == 0);
  if (rows < 24 || columns < 200) return;
  for (const auto* part :
       {"primary pg0", "WARNING: odd", "pg1", "3.50 ms", "slow", "read_safe", "SELECT new", "0-7", "120 batches/s"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

}  // namespace waypost
