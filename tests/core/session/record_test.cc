#include "core/session/record.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

SessionRecord Example() {
  SessionRecord record;
  record.user = "app";
  record.database = "d\xE9";  // not UTF-8
  record.peer = "[::1]:5";
  record.counted_as = {"app", "d\xE9", "2001:db8::/64"};
  record.listener = "127.0.0.1:6432";
  record.cancel_pid = 0x80000007U;
  record.secret = std::string("\0\xFF\x01\x02", 4);
  record.startup = {{"application_name", "SET application_name TO 'a'"}};
  record.session = {{"work_mem", "SET work_mem TO '1MB'"}, {"x.y", ""}};
  record.greeted = std::make_shared<const Parameters>(Parameters{{"server_version", "15.1"}});
  record.told = {{"DateStyle", "ISO, MDY"}};
  record.only_at_start = {{"ignore_system_indexes", "on"}};
  record.application = "a";
  record.lexing.standard_strings = false;
  record.starts_read_committed = true;
  const auto sql = [](const char* text) { return std::make_shared<const SqlText>(SqlText{text, Analyse(text, {})}); };
  record.statements.push_back({"", sql("SELECT 1"), std::string("\0\0", 2), {}, {}});
  record.statements.push_back({"s", sql("SELECT * FROM t"), "t", {{"search_path", "SET search_path TO a"}}, Shape{"p", "c"}});
  record.statements.push_back({"n", sql("UPDATE t SET a = 1"), "t", {}, Shape{"p", std::nullopt}});
  return record;
}

}  // namespace

TEST_CASE("a session's record is read as it was written", "[record]") {
  const auto record = Example();
  RecordReader reader;
  const auto read = reader.Read(EncodeRecord(record));
  REQUIRE(read.ok());
  CHECK(EncodeRecord(*read) == EncodeRecord(record));
  CHECK(read->database == record.database);
  CHECK(read->secret == record.secret);
  CHECK(read->session == record.session);
  CHECK(read->counted_as == record.counted_as);
  CHECK_FALSE(read->lexing.standard_strings);
  REQUIRE(read->statements.size() == 3);
  CHECK(read->statements[1].shape == record.statements[1].shape);
  CHECK(read->statements[2].sql->facts->front().kind == StatementKind::kUpdate);
}

TEST_CASE("a session's record that is not whole is an error", "[record]") {
  const auto bytes = EncodeRecord(Example());
  RecordReader reader;
  for (std::size_t length = 0; length < bytes.size(); ++length) CHECK_FALSE(reader.Read(bytes.substr(0, length)).ok());
  CHECK_FALSE(reader.Read(bytes + "x").ok());
}

TEST_CASE("a session's record with any other byte in it does no harm", "[record]") {
  const auto bytes = EncodeRecord(Example());
  RecordReader reader;
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const char with : {'\x00', '\x7F', '\xFF', '\xBF', '\x9B'}) {
      auto other = bytes;
      other[at] = with;
      (void)reader.Read(other);
    }
}

TEST_CASE("equal texts are analysed once", "[record]") {
  RecordReader reader;
  const auto bytes = EncodeRecord(Example());
  const auto one = reader.Read(bytes), two = reader.Read(bytes);
  REQUIRE((one.ok() && two.ok()));
  CHECK(one->statements[0].sql == two->statements[0].sql);
}

}  // namespace waypost
