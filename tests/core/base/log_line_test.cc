#include "core/base/log_line.h"

#include <array>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace waypost;

namespace {

constexpr std::chrono::system_clock::time_point kTime{std::chrono::milliseconds(1'795'755'628'007)};

std::string Line(LogFormat format, const std::vector<LogField>& fields, const std::vector<LogField>& about = {}) {
  std::string out;
  AppendLogLine(out, {.time = kTime, .level = LogLevel::kWarn, .event = "server_down", .about = about, .fields = fields}, format);
  return out;
}

}  // namespace

TEST_CASE("a line of the log is text for people", "[core][log]") {
  CHECK(Line(LogFormat::kText, {}) == "2026-11-27T05:00:28.007Z warning server_down\n");
  CHECK(Line(LogFormat::kText, {{"server", "pg1"}, {"error", "no answer"}, {"n", -3}}) ==
        "2026-11-27T05:00:28.007Z warning server_down server=pg1 error=\"no answer\" n=-3\n");
  CHECK(Line(LogFormat::kText, {{"text", "a\"b\\c\nd\x01"}, {"none", ""}}) ==
        "2026-11-27T05:00:28.007Z warning server_down text=\"a\\\"b\\\\c\\nd\\x01\" none=\"\"\n");
}

TEST_CASE("a line of the log is an object for machines", "[core][log]") {
  CHECK(Line(LogFormat::kJson, {}) ==
        "{\"time\":\"2026-11-27T05:00:28.007Z\",\"level\":\"warning\",\"event\":\"server_down\"}\n");
  const auto line = Line(LogFormat::kJson, {{"server", "pg1"}, {"n", -3}, {"took_ms", std::chrono::microseconds(1'234'005)}});
  const auto parsed = nlohmann::json::parse(line);
  CHECK(parsed["server"] == "pg1");
  CHECK(parsed["n"] == -3);
  CHECK(parsed["took_ms"] == 1234.005);
}

TEST_CASE("durations are written in milliseconds", "[core][log]") {
  CHECK(Line(LogFormat::kText, {{"took_ms", std::chrono::nanoseconds(1'500)}}).ends_with(" took_ms=0.001\n"));
  CHECK(Line(LogFormat::kText, {{"took_ms", std::chrono::seconds(3)}}).ends_with(" took_ms=3000.000\n"));
}

TEST_CASE("what is not known of who and where is left out", "[core][log]") {
  CHECK(Line(LogFormat::kText, {{"error", "x"}}, {{"session", "0-1"}, {"user", ""}, {"server", "pg0"}}) ==
        "2026-11-27T05:00:28.007Z warning server_down session=0-1 server=pg0 error=x\n");
}

TEST_CASE("whatever a text holds, its line is one line and valid JSON", "[core][log]") {
  const auto text =
      GENERATE(std::string("\xff\xfe"), std::string("\xc3"), std::string("a\nb\r\n\t\0c", 8), std::string("\"\\\x7f\x1f"),
               std::string("Zo\xc3\xab \xe2\x82\xac"), std::string("\xed\xa0\x80"), std::string(100'000, '\n'));
  const auto json = Line(LogFormat::kJson, {{"text", text}, {"after", 1}});
  CHECK(json.find('\n') == json.size() - 1);
  const auto parsed = nlohmann::json::parse(json);
  CHECK(parsed["after"] == 1);
  const auto plain = Line(LogFormat::kText, {{"text", text}, {"after", 1}});
  CHECK(plain.find('\n') == plain.size() - 1);
  CHECK(json.size() < 8 * kMaxLogTextBytes);
}

TEST_CASE("valid UTF-8 stays as it is in JSON", "[core][log]") {
  const std::string text = "Zo\xc3\xab \"\xe2\x82\xac\"\n";
  CHECK(nlohmann::json::parse(Line(LogFormat::kJson, {{"text", text}}))["text"] == text);
}
