#include "routing/audit.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/wire/encode.h"

namespace waypost {
namespace {

std::string Row(std::initializer_list<std::string_view> values) {
  std::string row;
  {
    MessageBuilder builder(row, 'D');
    builder.U16(static_cast<std::uint16_t>(values.size()));
    for (const auto value : values) builder.U32(static_cast<std::uint32_t>(value.size())).Raw(AsBytes(value));
  }
  return row.substr(5);
}

std::string SqlOf(const Settings& settings, std::string_view name) {
  const auto* setting = FindSetting(*settings, name);
  return setting == nullptr ? "" : setting->sql;
}

}  // namespace

TEST_CASE("the rows of an audit say what ties the session", "[routing][audit]") {
  const auto [row, pin] = GENERATE(table<std::string, PinReason>({{"t", PinReason::kTemporaryTable},
                                                                  {"n", PinReason::kListen},
                                                                  {"c", PinReason::kHoldCursor},
                                                                  {"l", PinReason::kAdvisoryLock},
                                                                  {"p", PinReason::kSqlPrepare},
                                                                  {"x", PinReason::kUnknownState}}));
  AuditReport report;
  CHECK(PinOf(report) == PinReason::kNone);
  REQUIRE(AddAuditRow(report, AsBytes(Row({row, "", ""}))));
  CHECK(PinOf(report) == pin);
}

TEST_CASE("a row that is not an audit's is told apart", "[routing][audit]") {
  AuditReport report;
  CHECK_FALSE(AddAuditRow(report, AsBytes(Row({"t", ""}))));
  CHECK_FALSE(AddAuditRow(report, AsBytes(Row({"", "", ""}))));
  CHECK_FALSE(AddAuditRow(report, AsBytes(Row({"?", "", ""}))));
  const auto whole = Row({"s", "work_mem", "7168"});
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(AddAuditRow(report, AsBytes(std::string_view(whole).substr(0, size))));
}

TEST_CASE("what the server says is set becomes what is believed", "[routing][audit]") {
  SettingTable table;
  const auto startup = table.Intern({StartupSetting("datestyle", "German")});
  const auto believed = table.Intern({StartupSetting("datestyle", "German"),
                                      {"work_mem", "SET work_mem TO '5MB'"},
                                      {"my.own", "SET \"my\".\"own\" TO 'x'"},
                                      {"role", "SET role TO 'r'"},
                                      {"lock_timeout", "SET lock_timeout TO 1"}});
  AuditReport report;
  for (const auto& row : {Row({"s", "work_mem", "7168"}), Row({"s", "role", "none"}), Row({"s", "session_authorization", "me"}),
                          Row({"s", "search_path", "a, b"})})
    REQUIRE(AddAuditRow(report, AsBytes(row)));
  const auto server = Adopted(table, believed, report, "me");
  const auto adopted = table.Filled(server, startup);
  CHECK(SqlOf(adopted, "work_mem") == StartupSetting("work_mem", "7168").sql);
  CHECK(SqlOf(adopted, "search_path") == StartupSetting("search_path", "a, b").sql);
  CHECK(SqlOf(adopted, "role").empty());
  CHECK(SqlOf(adopted, "session_authorization").empty());
  CHECK(SqlOf(adopted, "lock_timeout").empty());  // somebody reset it
  CHECK(SqlOf(adopted, "my.own") == "SET \"my\".\"own\" TO 'x'");  // the server does not list such
  CHECK(SqlOf(server, "datestyle").empty());  // somebody reset that, too
  CHECK(SqlOf(adopted, "datestyle") == StartupSetting("datestyle", "German").sql);  // and so got the start-up value
}

TEST_CASE("a text that may set what cannot be listed is told by its words", "[routing][audit]") {
  for (const char* sql : {"SELECT set_config('app.user', 'x', false)", "do $$ begin perform SET_CONFIG(name, 'x', false); end $$",
                          "DO $$ BEGIN SET app.user = 'x'; END $$", "DO $$ BEGIN SET LOCAL \"App\".x = 'x'; END $$",
                          "set session a . b to 1", "DO $$ BEGIN EXECUTE 'x'; END $$", "SELECT setseed(1)", "load 'x'",
                          "SELECT set_config ( 'a' || '.b', '', false)", "SELECT set_config"}) {
    CAPTURE(sql);
    CHECK(MaySetUnlisted(sql));
  }
  for (const char* sql :
       {"DO $$ BEGIN SET work_mem = '1MB'; END $$", "SELECT set_config('work_mem', 'x', false)", "CALL p(1)",
        "SELECT offset_config, reset.x, executed FROM loads", "UPDATE t SET a = t.b", "", "SET", "SELECT 'a.b'"}) {
    CAPTURE(sql);
    CHECK_FALSE(MaySetUnlisted(sql));
  }
}

}  // namespace waypost
