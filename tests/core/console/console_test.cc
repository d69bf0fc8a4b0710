#include <catch2/catch.hpp>
#include <string>

#include "core/base/bytes.h"
#include "core/console/answers.h"
#include "core/console/command.h"
#include "core/console/table.h"

namespace waypost {

TEST_CASE("what tools ask is understood in any case, with or without a semicolon", "[core][console]") {
  const auto [sql, verb, subject] = GENERATE(table<std::string, Verb, std::string>({
      {"SHOW STATS", Verb::kShow, "stats"},
      {"show stats;", Verb::kShow, "stats"},
      {"  Show\tPools ; ", Verb::kShow, "pools"},
      {"/* grafana */ SHOW LISTS; -- end", Verb::kShow, "lists"},
      {"", Verb::kNothing, ""},
      {";", Verb::kNothing, ""},
      {"-- ping", Verb::kNothing, ""},
      {"RELOAD;", Verb::kReload, ""},
      {"KILL_CLIENT 17", Verb::kKillClient, "17"},
      {"RECONNECT \"My Db\"", Verb::kReconnect, "My Db"},
      {"SHUTDOWN", Verb::kShutdown, ""},
      {"shutdown wait_for_clients", Verb::kShutdown, "wait_for_clients"},
      {"SET application_name = 'x'", Verb::kSet, ""},
      {"SET SESSION extra_float_digits TO 3", Verb::kSet, ""},
      {"BEGIN", Verb::kBegin, ""},
      {"ROLLBACK", Verb::kEnd, ""},
      {"SET max_client_conn = 5", Verb::kUnsupported, ""},
      {"PAUSE", Verb::kPause, ""},
      {"pause openfire;", Verb::kPause, "openfire"},
      {"PAUSE MyDb", Verb::kPause, "MyDb"},
      {"RESUME \"a-b\"", Verb::kResume, "a-b"},
      {"DISABLE a", Verb::kDisable, "a"},
      {"ENABLE a", Verb::kEnable, "a"},
      {"DISABLE", Verb::kUnsupported, ""},
      {"KILL", Verb::kKill, ""},
      {"KILL openfire", Verb::kKill, "openfire"},
      {"WAIT_CLOSE", Verb::kWaitClose, ""},
      {"SUSPEND", Verb::kUnsupported, ""},
      {"PAUSE a b", Verb::kUnknown, ""},
      {"SHUTDOWN now", Verb::kUnknown, ""},
      {"SELECT 1", Verb::kUnknown, ""},
      {"SHOW", Verb::kUnknown, ""},
      {"SHOW STATS; RELOAD", Verb::kUnknown, ""},
      {"\"show\" stats", Verb::kUnknown, ""},
  }));
  CAPTURE(sql);
  const auto command = ReadCommand(sql);
  CHECK(command.verb == verb);
  CHECK(command.subject == subject);
  CHECK(command.trouble.empty() == (verb != Verb::kUnknown && verb != Verb::kUnsupported));
}

TEST_CASE("an unknown command is named as PgBouncer names it", "[core][console]") {
  CHECK(ReadCommand("nonsense;").trouble == "invalid command 'nonsense', use SHOW HELP;");
  CHECK(ReadCommand(std::string(5000, 'x')).trouble.size() < 200);
  CHECK(ReadCommand("ENABLE").trouble == "a database is required");
}

TEST_CASE("columns have PgBouncer's types", "[core][console]") {
  const auto* stats = FindListing("stats");
  REQUIRE(stats != nullptr);
  CHECK(stats->columns.size() == 24);
  CHECK(stats->columns[0].name == "database");
  CHECK(stats->columns[1].type == ColumnType::kNumeric);
  CHECK(FindListing("pools")->columns.size() == 17);
  CHECK(FindListing("clients")->columns.size() == 21);
  CHECK(FindListing("nonsense") == nullptr);
  for (const auto* name : {"version", "config",    "databases",    "pools",          "clients", "servers", "sockets",
                           "users",   "stats",     "stats_totals", "stats_averages", "totals",  "lists",   "mem",
                           "state",   "dns_hosts", "fds",          "routes",         "pins",    "digests", "fence"}) {
    CAPTURE(name);
    CHECK(FindListing(name) != nullptr);
  }
}

TEST_CASE("values go out as text or binary", "[core][console]") {
  const auto columns = ReadColumns("a text, b int4, c int8, d numeric");
  std::string text, binary;
  const Row row{"x", "7", std::nullopt, "123456789"};
  AppendDataRow(text, columns, {}, row);
  CHECK(text.substr(5) == std::string("\0\4\0\0\0\1x\0\0\0\0017\xFF\xFF\xFF\xFF\0\0\0\011123456789", 29));
  AppendDataRow(binary, columns, {1}, row);
  // 123456789 is 1 2345 6789, in units of 10000 ** 2.
  CHECK(binary.substr(7 + 5) ==
        std::string("\0\0\0\4\0\0\0\7\xFF\xFF\xFF\xFF\0\0\0\016\0\3\0\2\0\0\0\0\0\1\x09\x29\x1A\x85", 30));
  CHECK(FormatsFit({}, 4));
  CHECK(FormatsFit({0, 1, 0, 1}, 4));
  CHECK_FALSE(FormatsFit({2}, 4));
  CHECK_FALSE(FormatsFit({0, 0}, 4));
}

}  // namespace waypost
