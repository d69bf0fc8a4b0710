#include "core/observe/trace.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace waypost {
namespace {

TracedStatement Sample() {
  TracedStatement traced;
  traced.trace.fill('a');
  traced.span.fill('1');
  traced.parent.emplace().fill('b');
  traced.began = std::chrono::system_clock::time_point(seconds(1'700'000'000));
  traced.took = milliseconds(10);
  traced.fence = {milliseconds(1), milliseconds(2)};
  traced.server = {milliseconds(3), milliseconds(7)};
  traced.text = "select ?";
  traced.client = "192.0.2.1:5433";
  traced.database = "openfire";
  traced.sqlstate = "22012";
  traced.rows = 3;
  return traced;
}

std::string Attribute(const nlohmann::json& span, const std::string& key) {
  for (const auto& attribute : span.at("attributes"))
    if (attribute.at("key") == key) return attribute.at("value").begin().value();
  return "none";
}

}  // namespace

TEST_CASE("who began a trace decides; of the others a share is traced", "[core][trace]") {
  TraceChoice choice;
  CHECK_FALSE(choice.on());
  TracingConfig config;
  config.endpoint = "http://collector";
  config.sample = 0.5;
  choice.Configure(config);
  CHECK(choice.on());
  TraceParent kept, dropped;
  kept.sampled = true;
  CHECK(choice.Wants(kept, 0xFFFFFFFF));
  CHECK_FALSE(choice.Wants(dropped, 0));
  CHECK(choice.Wants(std::nullopt, 0x7FFFFFFF));
  CHECK_FALSE(choice.Wants(std::nullopt, 0x80000000));
  config.sample = 1;
  choice.Configure(config);
  CHECK(choice.Wants(std::nullopt, 0xFFFFFFFF));
  config.sample = 0;
  choice.Configure(config);
  CHECK_FALSE(choice.Wants(std::nullopt, 0));
}

TEST_CASE("a statement is a span, and each of its phases one below", "[core][trace]") {
  const std::array statements = {Sample()};
  CHECK(SpansOf(statements[0]) == 3);
  const auto body = nlohmann::json::parse(OtlpJson(statements, "front"));
  const auto& resource = body.at("resourceSpans").at(0);
  CHECK(Attribute(resource.at("resource"), "service.name") == "front");
  const auto& spans = resource.at("scopeSpans").at(0).at("spans");
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].at("name") == "SELECT openfire");
  CHECK(spans[0].at("traceId") == std::string(32, 'a'));
  CHECK(spans[0].at("parentSpanId") == std::string(16, 'b'));
  CHECK(spans[0].at("startTimeUnixNano") == "1700000000000000000");
  CHECK(spans[0].at("endTimeUnixNano") == "1700000000010000000");
  CHECK(spans[0].at("status").at("code") == 2);
  CHECK(Attribute(spans[0], "db.response.status_code") == "22012");
  CHECK(Attribute(spans[0], "db.response.returned_rows") == "3");
  CHECK(Attribute(spans[0], "waypost.pin") == "none");
  CHECK(Attribute(spans[0], "client.address") == "192.0.2.1");
  CHECK(Attribute(spans[0], "client.port") == "5433");
  CHECK(spans[1].at("name") == "fence");
  CHECK(spans[2].at("name") == "server");
  CHECK(spans[2].at("startTimeUnixNano") == "1700000000003000000");
  for (const std::size_t child : {1, 2}) {
    CHECK(spans[child].at("parentSpanId") == spans[0].at("spanId"));
    CHECK(spans[child].at("spanId") != spans[0].at("spanId"));
  }
  CHECK(spans[1].at("spanId") != spans[2].at("spanId"));
}

TEST_CASE("any bytes can be in a span", "[core][trace]") {
  auto traced = Sample();
  traced.parent.reset();
  traced.sqlstate.clear();
  traced.text = "\xff\x01 (";
  traced.client.clear();
  const std::array statements = {traced};
  const auto span = nlohmann::json::parse(OtlpJson(statements, "w"))["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
  CHECK(span.at("name") == "query openfire");
  CHECK_FALSE(span.contains("parentSpanId"));
  CHECK_FALSE(span.contains("status"));
  CHECK(Attribute(span, "db.query.text") == "\xef\xbf\xbd\x01 (");
}

TEST_CASE("what a collector refuses of what it was sent", "[core][trace]") {
  const auto refused = ReadAnswer(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})");
  CHECK(refused.spans == 3);
  CHECK(refused.why == "too old");
  CHECK(ReadAnswer(R"({"partialSuccess":{"rejectedSpans":2}})").spans == 2);
  for (const auto* none : {"", "{}", "[]", "no JSON", R"({"partialSuccess":{}})", R"({"partialSuccess":7})",
                           R"({"partialSuccess":{"rejectedSpans":"-1","errorMessage":1}})"})
    CHECK(ReadAnswer(none).spans == 0);
}

TEST_CASE("ids of traces have digits, and never only zeros", "[core][trace]") {
  const auto id = NewTraceId<32>([number = 0x1234abcdU]() mutable { return number++; });
  CHECK(std::string(id.data(), 16) == "dcba4321ecba4321");
  const auto nought = NewTraceId<16>([] { return 0U; });
  CHECK(std::string(nought.data(), 16) == "0000000000000001");
}

}  // namespace waypost
