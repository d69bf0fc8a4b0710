#include "routing/settings.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

Setting Set(const std::string& name, const std::string& value) { return {name, "SET " + name + " TO " + value}; }

struct Change {
  SettingTable table;
  std::string operator()(SettingSet from, SettingSet to) {
    return Difference(*table.Intern(std::move(from)), *table.Intern(std::move(to)));
  }
};

}  // namespace

TEST_CASE("equal sets of settings are one", "[routing][settings]") {
  SettingTable table;
  const auto one = table.Intern({Set("a", "1"), Set("b", "2")});
  CHECK(table.Intern({Set("b", "2"), Set("a", "1")}) == one);
  CHECK(table.Intern({Set("a", "0"), Set("b", "2"), Set("a", "1")}) == one);
  CHECK(table.With(table.With(table.None(), Set("b", "2")), Set("a", "1")) == one);
  CHECK(table.Intern({Set("a", "1"), Set("b", "3")}) != one);
  CHECK(table.Intern({Set("a", "1")}) != one);
  CHECK(table.Intern({}) == table.None());
  CHECK(table.None()->empty());
}

TEST_CASE("names and texts that run together are told apart", "[routing][settings]") {
  SettingTable table;
  CHECK(table.Intern({{"a", "bc"}}) != table.Intern({{"ab", "c"}}));
  CHECK(table.Intern({{"a", "b"}, {"c", "d"}}) != table.Intern({{"a", "bcd"}}));
}

TEST_CASE("a set that nobody holds is made again", "[routing][settings]") {
  SettingTable table;
  for (int i = 0; i < 5000; ++i) (void)table.Intern({Set("a", std::to_string(i))});
  const auto again = table.Intern({Set("a", "7")});
  CHECK(again == table.Intern({Set("a", "7")}));
  CHECK(again->front().sql == "SET a TO 7");
}

TEST_CASE("a set is sorted and the later of two settings counts", "[routing][settings]") {
  SettingTable table;
  const auto set = table.Intern({Set("b", "1"), Set("a", "1"), Set("b", "2")});
  REQUIRE(set->size() == 2);
  CHECK((*set)[0] == Set("a", "1"));
  CHECK((*set)[1] == Set("b", "2"));
}

TEST_CASE("a setting is found by its name", "[routing][settings]") {
  SettingTable table;
  const auto set = table.Intern({Set("b", "1"), Set("d", "2")});
  REQUIRE(FindSetting(*set, "d") != nullptr);
  CHECK(FindSetting(*set, "d")->sql == "SET d TO 2");
  for (const char* name : {"", "a", "c", "e", "B"}) CHECK(FindSetting(*set, name) == nullptr);
  CHECK(FindSetting(*table.None(), "a") == nullptr);
}

TEST_CASE("a reset setting is as it was at start-up", "[routing][settings]") {
  SettingTable table;
  const auto startup = table.Intern({Set("a", "1"), Set("b", "1")});
  const auto now = table.With(table.With(startup, Set("a", "2")), Set("c", "3"));
  CHECK(table.Reset(now, "a", startup) == table.With(startup, Set("c", "3")));
  CHECK(table.Reset(now, "c", startup) == table.With(startup, Set("a", "2")));
  CHECK(table.Reset(now, "none", startup) == now);
  CHECK(table.Reset(startup, "a", table.None()) == table.Intern({Set("b", "1")}));
}

TEST_CASE("the difference sets what is new or other and resets what is gone", "[routing][settings]") {
  Change change;
  CHECK(change({}, {}).empty());
  CHECK(change({Set("a", "1")}, {Set("a", "1")}).empty());
  CHECK(change({}, {Set("a", "1")}) == "SET a TO 1");
  CHECK(change({Set("a", "1")}, {Set("a", "2")}) == "SET a TO 2");
  CHECK(change({Set("a", "1")}, {}) == "RESET \"a\"");
  CHECK(change({Set("a", "1"), Set("b", "1"), Set("c", "1")}, {Set("b", "2"), Set("c", "1"), Set("d", "1")}) ==
        "RESET \"a\";SET b TO 2;SET d TO 1");
}

TEST_CASE("equal sets that are not one have no difference", "[routing][settings]") {
  const SettingSet one{Set("a", "1")};
  const SettingSet other{Set("a", "1")};
  CHECK(Difference(one, other).empty());
}

TEST_CASE("who runs the statements changes last and goes back first", "[routing][settings]") {
  const Setting alice{"role", "SET ROLE alice"};
  const Setting bob{"role", "SET ROLE bob"};
  const Setting joe{"session_authorization", "SET SESSION AUTHORIZATION joe"};
  Change change;
  CHECK(change({}, {alice, joe, Set("z", "1")}) == "SET z TO 1;SET SESSION AUTHORIZATION joe;SET ROLE alice");
  CHECK(change({alice, joe, Set("z", "1")}, {}) == "RESET \"role\";RESET SESSION AUTHORIZATION;RESET \"z\"");
  CHECK(change({alice}, {bob}) == "RESET \"role\";SET ROLE bob");
  CHECK(change({alice}, {alice, Set("z", "1")}) == "SET z TO 1");
  SECTION("a role outlives no change of the session's user") {
    CHECK(change({joe, alice}, {joe}) == "RESET \"role\"");
    CHECK(change({alice}, {joe, alice}) == "SET SESSION AUTHORIZATION joe;SET ROLE alice");
    CHECK(change({joe, alice}, {alice}) == "RESET SESSION AUTHORIZATION;SET ROLE alice");
  }
}

TEST_CASE("a reset name is quoted part by part", "[routing][settings]") {
  Change change;
  CHECK(change({{"myapp.user", "x"}}, {}) == "RESET \"myapp\".\"user\"");
  CHECK(change({{"a\"b", "x"}}, {}) == "RESET \"a\"\"b\"");
}

TEST_CASE("a setting with a dot that is reset leaves its name", "[routing][settings]") {
  SettingTable table;
  const auto left = table.Reset(table.Intern({Set("a.b", "1"), Set("c", "1")}), "a.b", table.None());
  CHECK(left == table.Intern({Placeholder("a.b"), Set("c", "1")}));
  CHECK(IsPlaceholder(left->front()));
  CHECK_FALSE(IsPlaceholder(left->back()));
  CHECK(table.Reset(left, "c", table.None()) == table.Intern({Placeholder("a.b")}));
  CHECK(table.Reset(left, "a.b", table.Intern({Set("a.b", "0")})) == table.Intern({Set("a.b", "0"), Set("c", "1")}));
  CHECK(table.ForParsing(left) == table.Intern({Set("c", "1")}));
}

TEST_CASE("a name alone is made known apart, where it is not yet", "[routing][settings]") {
  Change change;
  CHECK(change({Set("a.b", "1")}, {Placeholder("a.b")}) == R"(RESET "a"."b")");
  CHECK(change({}, {Placeholder("a.b")}).empty());
  CHECK(change({Placeholder("a.b")}, {}).empty());
  CHECK(change({Placeholder("a.b")}, {Set("a.b", "1")}) == "SET a.b TO 1");
  SettingTable table;
  const auto names = table.Intern({Placeholder("a.b"), Placeholder("a.c"), Set("d", "1")});
  CHECK(MissingPlaceholders({}, *names) == std::vector<std::string>{R"(RESET "a"."b")", R"(RESET "a"."c")"});
  CHECK(MissingPlaceholders({Set("a.b", "1"), Placeholder("a.c")}, *names).empty());
}

TEST_CASE("names alone are bounded, in length and in number", "[routing][settings]") {
  CHECK(LeavesPlaceholder("a." + std::string(125, 'x')));
  CHECK_FALSE(LeavesPlaceholder("a." + std::string(126, 'x')));
  CHECK_FALSE(LeavesPlaceholder("work_mem"));
  SettingTable table;
  auto set = table.Intern({Set("a.1000", "1")});
  for (std::size_t i = 1000; i < 1000 + 2 * kMaxPlaceholders; ++i)
    set = table.Reset(table.With(set, Set("a." + std::to_string(i), "1")), "a." + std::to_string(i), table.None());
  CHECK(set->size() == kMaxPlaceholders);
}

TEST_CASE("a start-up setting is set by name and value, whatever they hold", "[routing][settings]") {
  CHECK(StartupSetting("DateStyle", "ISO, DMY") == Setting{"datestyle", "SET datestyle TO 'ISO, DMY'"});
  CHECK(StartupSetting("a", R"(x'); DROP TABLE t; --\)").sql == R"(SET a TO E'x''); DROP TABLE t; --\\')");
  CHECK(StartupSetting("My.Name\"", "x").sql == R"(SET "my"."name""" TO 'x')");
  CHECK(StartupSetting("search_path", "a, \"B c\", \"$user\"").sql ==
        "SELECT pg_catalog.set_config(E'search_path',E'a, \"B c\", \"$user\"',false)");
  CHECK(StartupSetting("search_path", "a, b").sql == "SET search_path TO 'a', 'b'");
  CHECK(StartupSetting("search_path", "b,public").sql == "SELECT pg_catalog.set_config(E'search_path',E'b,public',false)");
}

}  // namespace waypost

TEST_CASE("DateStyle is taken as a whole", "[routing][settings]") {
  CHECK(waypost::FullDateStyle("ISO, MDY", "SET datestyle TO 'postgres'") == "Postgres, MDY");
  CHECK(waypost::FullDateStyle("German, DMY", "SET datestyle TO 'postgres'") == "Postgres, DMY");
  CHECK(waypost::FullDateStyle("ISO, YMD", "SET datestyle TO 'german'") == "German, DMY");
  CHECK(waypost::FullDateStyle("ISO, YMD", "SET datestyle TO 'german', 'MDY'") == "German, MDY");
  CHECK(waypost::FullDateStyle("SET datestyle TO 'SQL, DMY'", "SET datestyle TO 'US'") == "SQL, MDY");
  CHECK(waypost::FullDateStyle("SELECT pg_catalog.set_config(E'DateStyle',E'SQL, YMD',false)", "SET datestyle TO iso") ==
        "ISO, YMD");
  CHECK(waypost::FullDateStyle("SQL, MDY", "SET datestyle TO 'European', 'PostgreSQL'") == "Postgres, DMY");
}
