#include "routing/prepared.h"

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

SqlRef Sql(std::string text) { return std::make_shared<const SqlText>(SqlText{std::move(text), nullptr}); }

const std::string kNoTypes = wire::U16(0);
const std::string kInteger = wire::U16(1) + wire::U32(23);

}  // namespace

TEST_CASE("equal statements are one, whoever names them", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("r4nd0m");
  const auto one = table.Intern(Sql("SELECT $1"), kInteger, settings.None());
  CHECK(table.Intern(Sql("SELECT $1"), kInteger, settings.None()) == one);
  CHECK(one->sql->text == "SELECT $1");
  CHECK(one->types == kInteger);
  CHECK(one->settings == settings.None());
  CHECK(one->server_name == "_wpr4nd0m_" + std::to_string(one->id));
}

TEST_CASE("another text, type or setting is another statement", "[routing][prepared]") {
  SettingTable settings;
  const auto german = settings.Intern({{"datestyle", "SET datestyle TO german"}});
  StatementTable table("x");
  const auto one = table.Intern(Sql("SELECT $1"), kInteger, settings.None());
  CHECK(table.Intern(Sql("SELECT $1 "), kInteger, settings.None()) != one);
  CHECK(table.Intern(Sql("SELECT $1"), kNoTypes, settings.None()) != one);
  CHECK(table.Intern(Sql("SELECT $1"), kInteger, german) != one);
  CHECK(table.Intern(Sql("SELECT $1"), kInteger, settings.None()) == one);
}

TEST_CASE("settings that are nobody else's make a statement that is nobody else's", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("x");
  const auto own = std::make_shared<const SettingSet>(*settings.None());
  const auto shared = table.Intern(Sql("SELECT 1"), kNoTypes, settings.None());
  CHECK(table.Intern(Sql("SELECT 1"), kNoTypes, own) != shared);
}

TEST_CASE("types and text that run together are told apart", "[routing][prepared]") {
  // The same bytes in a row: the types of the one end where the text of the other begins.
  SettingTable settings;
  StatementTable table("x");
  const std::string types = wire::U16(0x4141) + wire::U32(0x41414141);
  const auto one = table.Intern(Sql("B"), types, settings.None());
  CHECK(table.Intern(Sql(std::string("AAA") + '\0' + "B"), types.substr(0, 2), settings.None()) != one);
}

TEST_CASE("no two statements ever have one name on a server", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("x");
  std::set<std::string> names;
  for (int i = 0; i < 3000; ++i)
    names.insert(
        table.Intern(Sql("SELECT " + std::to_string(i % 10)), kNoTypes, settings.None())->server_name);  // nobody keeps it
  CHECK(names.size() == 3000);
  const auto kept = table.Intern(Sql("SELECT 1"), kNoTypes, settings.None());
  for (int i = 0; i < 3000; ++i) (void)table.Intern(Sql("SELECT x" + std::to_string(i)), kNoTypes, settings.None());
  CHECK(table.Intern(Sql("SELECT 1"), kNoTypes, settings.None()) == kept);
}

TEST_CASE("names of another process differ", "[routing][prepared]") {
  SettingTable settings;
  StatementTable one("aaaa");
  StatementTable other("bbbb");
  CHECK(one.Intern(Sql("SELECT 1"), kNoTypes, settings.None())->server_name !=
        other.Intern(Sql("SELECT 1"), kNoTypes, settings.None())->server_name);
}

TEST_CASE("what was told of a statement is a statement of its own, under the same name", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("x");
  const auto open = table.Intern(Sql("SELECT $1"), kNoTypes, settings.None());
  const auto one = table.Told(open, {kInteger, "a column"});
  CHECK(one != open);
  CHECK(Open(one) == open);
  CHECK(one->id == open->id);
  CHECK(one->server_name == open->server_name);
  CHECK(one->parse_types() == kInteger);
  CHECK(open->parse_types() == kNoTypes);
  CHECK(table.Told(open, {kInteger, "a column"}) == one);
  CHECK(table.Told(one, {kInteger, "a column"}) == one);
  const auto other = table.Told(one, {kInteger, "another"});
  CHECK(other != one);
  CHECK(Open(other) == open);
  CHECK(table.Told(open, {kNoTypes, "a column"}) != one);
  // No columns are not the same as no rows.
  CHECK(table.Told(open, {kInteger, ""}) != table.Told(open, {kInteger, std::nullopt}));
}

TEST_CASE("who was told what comes is served by that alone, who was not by anything", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("x");
  const auto open = table.Intern(Sql("SELECT $1"), kNoTypes, settings.None());
  const auto stranger = table.Intern(Sql("SELECT 2"), kNoTypes, settings.None());
  const auto one = table.Told(open, {kInteger, "one"}), other = table.Told(open, {kInteger, "other"});
  CHECK(Serves(one, one));
  CHECK(Serves(one, open));
  CHECK(Serves(open, open));
  CHECK_FALSE(Serves(open, one));
  CHECK_FALSE(Serves(other, one));
  CHECK_FALSE(Serves(stranger, open));
  CHECK_FALSE(Serves(nullptr, one));
}

TEST_CASE("a statement is the same one as long as anybody knows what it returns", "[routing][prepared]") {
  SettingTable settings;
  StatementTable table("x");
  auto open = table.Intern(Sql("SELECT 1"), kNoTypes, settings.None());
  const auto id = open->id;
  const auto told = table.Told(open, {kNoTypes, "one"});
  open.reset();
  CHECK(table.Intern(Sql("SELECT 1"), kNoTypes, settings.None())->id == id);
}

}  // namespace waypost
