#include "routing/session_settings.h"

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/support/costs.h"

namespace waypost {
namespace {

using Kind = SettingEffect::Kind;

SettingEffect Effect(Kind kind, const std::string& name = {}, const std::string& value = {}) {
  SettingEffect effect{.kind = kind, .name = name, .sql = {}, .value = value};
  if (kind == Kind::kSet) effect.sql = "SET " + name + " TO " + value;
  if (kind == Kind::kSetLocal) effect.sql = "SET LOCAL " + name + " TO " + value;
  return effect;
}

// Settings as text: "a=1 b=2"; "?" for a value that nobody knows.
std::string Shown(const Settings& settings) {
  std::string text;
  for (const auto& setting : *settings) {
    if (!text.empty()) text += ' ';
    const auto at = setting.sql.rfind(" TO ");
    text += setting.name + '=' + (setting.sql.empty() ? "?" : at == std::string::npos ? setting.sql : setting.sql.substr(at + 4));
  }
  return text;
}

struct Fixture {
  SettingTable table;
  SessionSettings settings{table};

  explicit Fixture(SettingSet startup = {}) { settings.Start(table.Intern(std::move(startup))); }
  void Do(Kind kind, const std::string& name = {}, const std::string& value = {}) { settings.Apply(Effect(kind, name, value)); }
  [[nodiscard]] std::string Session() const { return Shown(settings.session()); }
  [[nodiscard]] std::string Effective() const { return Shown(settings.effective()); }
};

Setting Start(const std::string& name, const std::string& value) { return {name, "SET " + name + " TO " + value}; }

}  // namespace

TEST_CASE("SET LOCAL holds to the end of its transaction, over what the session has", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSet, "path", "b");
  f.settings.Commit();
  f.Do(Kind::kSetLocal, "path", "a");
  CHECK(f.Session() == "path=b");
  CHECK(f.Effective() == "path=a");
  CHECK(f.settings.has_local());
  f.settings.EndLocal();
  CHECK(f.Effective() == "path=b");
  CHECK_FALSE(f.settings.has_local());
}

TEST_CASE("what is kept of a SET LOCAL is a SET", "[routing][session_settings]") {
  Fixture f;
  for (const char* sql : {"SET LOCAL datestyle TO 'SQL'", "SET datestyle TO 'SQL'"}) {
    f.settings.Apply({.kind = Kind::kSetLocal, .name = "datestyle", .sql = sql, .value = {}});
    CHECK(f.settings.effective()->front().sql == "SET datestyle TO 'SQL'");
  }
}

TEST_CASE("a SET behind a SET LOCAL overrides it", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSetLocal, "a", "1");
  f.Do(Kind::kSet, "a", "2");
  CHECK(f.Effective() == "a=2");
  f.Do(Kind::kSetLocal, "a", "3");
  f.Do(Kind::kReset, "a");
  CHECK(f.Effective().empty());
  f.Do(Kind::kSetLocal, "a", "4");
  f.Do(Kind::kSetLocal, "role", "r");
  f.Do(Kind::kResetAll);
  CHECK(f.Effective() == "role=r");
}

TEST_CASE("savepoints bring back both levels", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSet, "a", "1");
  f.settings.Commit();
  f.Do(Kind::kSetLocal, "a", "2");
  f.settings.Save("s");
  f.Do(Kind::kSet, "a", "3");
  f.Do(Kind::kSetLocal, "b", "4");
  SECTION("rolled back") {
    CHECK(f.settings.RollBackTo("s"));
    CHECK(f.Effective() == "a=2");
    CHECK(f.Session() == "a=1");
    f.Do(Kind::kSet, "a", "5");
    CHECK(f.settings.RollBackTo("s"));
    CHECK(f.Effective() == "a=2");
  }
  SECTION("released, what was set within stays") {
    f.settings.Release("s");
    CHECK(f.Effective() == "a=3 b=4");
    CHECK_FALSE(f.settings.RollBackTo("s"));
  }
  SECTION("a name twice: the later one counts") {
    f.settings.Save("s");
    f.Do(Kind::kSet, "a", "6");
    CHECK(f.settings.RollBackTo("s"));
    CHECK(f.Effective() == "a=3 b=4");
    f.settings.Release("s");
    CHECK(f.settings.RollBackTo("s"));
    CHECK(f.Effective() == "a=2");
  }
  f.settings.RollBack();
  CHECK(f.Effective() == "a=1");
}

TEST_CASE("what is reset is as it was at start-up", "[routing][session_settings]") {
  Fixture f({Start("a", "1"), Start("role", "r")});
  f.Do(Kind::kSet, "a", "2");
  f.Do(Kind::kSet, "b", "2");
  f.Do(Kind::kSet, "role", "other");
  SECTION("one") {
    f.Do(Kind::kReset, "a");
    CHECK(f.Session() == "a=1 b=2 role=other");
  }
  SECTION("all, but for who runs the statements") {
    f.Do(Kind::kResetAll);
    CHECK(f.Session() == "a=1 role=other");
  }
  SECTION("all of it") {
    f.Do(Kind::kDiscardAll);
    CHECK(f.Session() == "a=1 role=r");
    f.settings.RollBack();  // it is committed by then
    CHECK(f.Session() == "a=1 role=r");
  }
  SECTION("for the transaction alone") {
    f.Do(Kind::kResetLocal, "a");
    f.Do(Kind::kResetLocal, "b");
    CHECK(f.Effective() == "a=1 role=other");
    CHECK(f.Session() == "a=2 b=2 role=other");
  }
}

TEST_CASE("who changes the session's user gives up the role, at the same level", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSet, "role", "r");
  f.settings.Commit();
  SECTION("set") {
    f.Do(Kind::kSet, "session_authorization", "u");
    CHECK(f.Session() == "session_authorization=u");
    f.Do(Kind::kSet, "role", "s");
    CHECK(f.Session() == "role=s session_authorization=u");
    f.Do(Kind::kReset, "session_authorization");
    CHECK(f.Session().empty());
    f.settings.RollBack();
    CHECK(f.Session() == "role=r");
  }
  SECTION("for the transaction alone") {
    f.Do(Kind::kSetLocal, "session_authorization", "u");
    CHECK(f.Effective() == "role='none' session_authorization=u");
    CHECK(f.Session() == "role=r");
    f.settings.EndLocal();
    CHECK(f.Effective() == "role=r");
  }
  SECTION("and of a local role nothing is left") {
    f.Do(Kind::kSetLocal, "role", "s");
    f.Do(Kind::kSet, "session_authorization", "u");
    CHECK(f.Effective() == "session_authorization=u");
  }
}

TEST_CASE("a role asked for at start-up is not that of another user of the session", "[routing][session_settings]") {
  Fixture f({Start("role", "r")});
  f.Do(Kind::kSet, "session_authorization", "u");
  CHECK(f.Session() == "role='none' session_authorization=u");
  f.Do(Kind::kReset, "role");
  CHECK(f.Session() == "role=r session_authorization=u");
  f.Do(Kind::kSet, "role", "s");
  f.Do(Kind::kReset, "session_authorization");
  CHECK(f.Session() == "role=r");
  CHECK(f.settings.Restoring(Effect(Kind::kReset, "session_authorization")).size() == 1);
}

TEST_CASE("old names of a setting are the setting", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSet, "work_mem", "1");
  f.Do(Kind::kSet, "sort_mem", "2");
  REQUIRE(f.settings.session()->size() == 1);
  CHECK(f.settings.session()->front().sql == "SET sort_mem TO 2");
  f.Do(Kind::kReset, "sort_mem");
  CHECK(f.Session().empty());
}

TEST_CASE("a name with a dot stays known, however its transaction ended", "[routing][session_settings]") {
  const auto named = R"(a.b=RESET "a"."b")";
  for (const auto kind : {Kind::kSet, Kind::kSetLocal, Kind::kResetLocal, Kind::kUnknownLocal, Kind::kReset}) {
    for (const bool series : {false, true}) {
      Fixture f;
      const auto act = [&] {
        if (series) f.settings.ApplyAll(std::vector{Effect(Kind::kSet, "c", "1"), Effect(kind, "a.b", "1")});
        else f.Do(kind, "a.b", "1");
      };
      act();
      f.settings.EndLocal();
      f.settings.RollBack();
      CHECK(f.Session() == named);
      act();
      f.settings.Commit();
      CHECK(f.Session() == (kind == Kind::kSet ? "a.b=1" : named) + std::string(series ? " c=1" : ""));
      CHECK_FALSE(f.settings.EndChanges());
    }
  }
  Fixture f;
  f.settings.Save("s");
  f.Do(Kind::kSetLocal, "a.b", "1");
  f.settings.RollBackTo("s");
  f.settings.Commit();
  CHECK(f.Session() == named);
  f.Do(Kind::kSet, "a.c", "1");
  f.Do(Kind::kSet, "d", "1");
  f.Do(Kind::kResetAll);
  CHECK(f.Session() == named + std::string(R"( a.c=RESET "a"."c")"));
  f.Do(Kind::kSet, "a.c", "1");
  f.Do(Kind::kDiscardAll);
  CHECK(f.Session() == named + std::string(R"( a.c=RESET "a"."c")"));
  CHECK(Shown(f.settings.parsing()).empty());
}

TEST_CASE("what a session without a name with a dot ends, changes nothing", "[routing][session_settings]") {
  Fixture f({Start("a.b", "0")});
  f.Do(Kind::kSet, "path", "1");
  f.Do(Kind::kSet, "a.b", "1");
  f.Do(Kind::kReset, "a.b");
  CHECK_FALSE(f.settings.EndChanges());
  f.settings.RollBack();
  f.Do(Kind::kDiscardAll);
  CHECK(f.settings.session() == f.settings.startup());
}

TEST_CASE("more names than are kept are no error", "[routing][session_settings]") {
  Fixture f;
  std::vector<SettingEffect> many;
  for (std::size_t i = 0; i < 2 * kMaxPlaceholders; ++i) many.push_back(Effect(Kind::kSetLocal, "a.n" + std::to_string(i), "1"));
  f.settings.ApplyAll(many);
  f.settings.RollBack();
  CHECK(f.settings.session()->size() == kMaxPlaceholders);
}

TEST_CASE("a value that only the server knows is told apart from none", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kUnknownLocal, "search_path");
  CHECK(f.Effective() == "search_path=?");
  CHECK(f.settings.parsing()->empty());
  f.settings.EndLocal();
  CHECK(f.Effective().empty());
}

TEST_CASE("what a text means is not a matter of who runs it and how long", "[routing][session_settings]") {
  Fixture f;
  f.Do(Kind::kSet, "datestyle", "SQL");
  const auto before = f.settings.parsing();
  f.Do(Kind::kSet, "role", "r");
  f.Do(Kind::kSet, "application_name", "x");
  f.Do(Kind::kSetLocal, "statement_timeout", "1");
  CHECK(f.settings.parsing() == before);
  f.Do(Kind::kSetLocal, "search_path", "x");
  CHECK(f.settings.parsing() != before);
}

TEST_CASE("behind what takes settings back, the start-up values are set again", "[routing][session_settings]") {
  Fixture f({Start("a", "1"), {"b", "SELECT pg_catalog.set_config(E'b',E'2',false)"}, Start("role", "r")});
  using Texts = std::vector<std::string>;
  const auto behind = [&](Kind kind, const std::string& name) { return f.settings.Restoring(Effect(kind, name)); };
  CHECK(behind(Kind::kReset, "a") == Texts{"SET a TO 1"});
  CHECK(behind(Kind::kReset, "c").empty());
  CHECK(behind(Kind::kSet, "a").empty());
  CHECK(behind(Kind::kSetLocal, "a").empty());
  CHECK(behind(Kind::kResetLocal, "a") == Texts{"SET LOCAL a TO 1"});
  CHECK(behind(Kind::kResetLocal, "b") == Texts{"SELECT pg_catalog.set_config(E'b',E'2',true)"});
  CHECK(behind(Kind::kResetAll, "").size() == 2);
  CHECK(behind(Kind::kDiscardAll, "").size() == 3);
}

TEST_CASE("an effect makes of a server connection what it makes of a session without start-up values",
          "[routing][session_settings]") {
  SettingTable table;
  const auto set = table.Intern({Start("a", "1"), Start("role", "r"), Start("session_authorization", "u")});
  const auto after = [&](Kind kind, const std::string& name) {
    return Shown(AfterEffect(table, set, Effect(kind, name, "2"), table.None()));
  };
  CHECK(after(Kind::kSet, "a") == "a=2 role=r session_authorization=u");
  CHECK(after(Kind::kReset, "session_authorization") == "a=1");
  CHECK(after(Kind::kResetAll, "") == "role=r session_authorization=u");
  CHECK(after(Kind::kDiscardAll, "").empty());
  CHECK(after(Kind::kSetLocal, "a") == Shown(set));
}

TEST_CASE("a series of changes comes to what they come to one by one", "[routing][session_settings]") {
  SettingTable table;
  SessionSettings one_by_one(table), at_once(table);
  const auto startup = table.Intern({{"a.b1", "SET a.b1 TO 'start'"}, {"role", "SET role TO 'r'"}});
  one_by_one.Start(startup);
  at_once.Start(startup);
  std::mt19937 random(GENERATE(range(0U, 40U)));
  for (int series = 0; series < 5; ++series) {
    std::vector<SettingEffect> effects;
    for (int i = 0; i < 12; ++i) {
      const std::array kinds = {Kind::kSet, Kind::kReset, Kind::kSetLocal, Kind::kResetLocal, Kind::kUnknownLocal};
      effects.push_back(Effect(kinds[random() % kinds.size()], "a.b" + std::to_string(random() % 4), std::to_string(i)));
      REQUIRE(ChangesOneSetting(effects.back()));
    }
    for (const auto& effect : effects) one_by_one.Apply(effect);
    at_once.ApplyAll(effects);
    CHECK(at_once.session() == one_by_one.session());
    CHECK(at_once.effective() == one_by_one.effective());
    if (series == 2) one_by_one.Commit(), at_once.Commit();
  }
  CHECK_FALSE(ChangesOneSetting(Effect(Kind::kSet, "session_authorization", "x")));
}

TEST_CASE("a long series of changes costs as much as it is long", "[routing][session_settings]") {
  const auto costs = CostsOf(4000, [](std::size_t n) {
    SettingTable table;
    SessionSettings session(table);
    std::vector<SettingEffect> effects;
    for (std::size_t i = 0; i < n; ++i) effects.push_back(Effect(Kind::kSet, "a.b" + std::to_string(i), "1"));
    session.ApplyAll(effects);
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}

}  // namespace waypost
