#include "parser/sql/trace_parent.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

const std::string kValue = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

std::optional<TraceParent> In(const std::string& sql) { return TraceParentIn(sql, {}); }

}  // namespace

TEST_CASE("a statement says by its comment which trace it belongs to", "[parser][trace]") {
  for (const std::string& sql :
       {"SELECT 1 /*traceparent='" + kValue + "'*/", "/*action='a%20b',traceparent='" + kValue + "'*/ SELECT 1",
        "SELECT /* traceparent='" + kValue + "', tracestate='x%3D1' */ 1", "SELECT '/*' /*traceparent='" + kValue + "'*/;"}) {
    const auto parent = In(sql);
    INFO(sql);
    REQUIRE(parent);
    CHECK(std::string(parent->trace.data(), 32) == "4bf92f3577b34da6a3ce929d0e0e4736");
    CHECK(std::string(parent->span.data(), 16) == "00f067aa0ba902b7");
    CHECK(parent->sampled);
  }
  CHECK_FALSE(In("SELECT 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'*/")->sampled);
  CHECK(In("SELECT 1 /*traceparent='01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0b-more'*/")->sampled);
}

TEST_CASE("what only looks like a trace is none", "[parser][trace]") {
  const auto with = [](const std::string& value) { return "SELECT 1 /*traceparent='" + value + "'*/"; };
  for (const std::string& sql :
       {std::string("SELECT 1"), "SELECT '/*traceparent=''" + kValue + "''*/'", "SELECT $$/*traceparent='" + kValue + "'*/$$",
        "SELECT 1 -- traceparent='" + kValue + "'", "SELECT 1 /*xtraceparent='" + kValue + "'*/",
        "SELECT 1 /*traceparent='" + kValue, with(""), with(kValue.substr(0, 54)), with(kValue + "-more"), with(kValue + "0"),
        with("ff" + kValue.substr(2)), with("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        with("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
        with("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        with("00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01"), with(kValue) + std::string(kMaxTracedTextBytes, ' ')}) {
    INFO(sql.substr(0, 120));
    CHECK_FALSE(In(sql));
  }
}

}  // namespace waypost
