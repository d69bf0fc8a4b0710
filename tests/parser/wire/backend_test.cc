#include "parser/wire/backend.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::CString;

const std::string kError = "S" + CString("FEHLER") + "V" + CString("ERROR") + "C" + CString("25006") + "M" +
                           CString("read-only") + "F" + CString("utility.c") + '\0';

}  // namespace

TEST_CASE("an error has a severity, a SQLSTATE and a message", "[parser][backend]") {
  const auto error = ReadError(AsBytes(kError));
  CHECK(error.severity == "ERROR");
  CHECK(error.sqlstate == "25006");
  CHECK(error.message == "read-only");
}

TEST_CASE("an error says where it came up", "[parser][backend]") {
  CHECK_FALSE(ReadError(AsBytes(kError)).placed);
  CHECK_FALSE(ReadError(AsBytes(kError)).in_code);
  const std::string placed = "S" + CString("ERROR") + "P" + CString("7") + '\0';
  CHECK(ReadError(AsBytes(placed)).placed);
  CHECK_FALSE(ReadError(AsBytes(placed)).in_code);
  const std::string in_code = "S" + CString("ERROR") + "W" + CString("PL/pgSQL function f() line 1") + '\0';
  CHECK(ReadError(AsBytes(in_code)).in_code);
  const std::string in_query = "S" + CString("ERROR") + "p" + CString("1") + "q" + CString("SELEC 1") + '\0';
  CHECK(ReadError(AsBytes(in_query)).in_code);
  CHECK_FALSE(ReadError(AsBytes(in_query)).placed);
}

TEST_CASE("the severity that is not localised counts, wherever it stands", "[parser][backend]") {
  const std::string first = "V" + CString("FATAL") + "S" + CString("FATAL:") + '\0';
  CHECK(ReadError(AsBytes(first)).severity == "FATAL");
  const std::string old = "S" + CString("PANIC") + '\0';
  CHECK(ReadError(AsBytes(old)).severity == "PANIC");
}

TEST_CASE("an error cut short is read as far as it goes", "[parser][backend]") {
  const auto cut = GENERATE(range<std::size_t>(0, kError.size()));
  const auto error = ReadError(AsBytes(kError).first(cut));
  CAPTURE(cut);
  CHECK((error.sqlstate.empty() || error.sqlstate == "25006"));
  CHECK(error.sqlstate.empty() == (cut < kError.find("25006") + 6));
  CHECK(error.message.empty() == (cut < kError.find("read-only") + 10));
}

TEST_CASE("ReadyForQuery is one byte of three", "[parser][backend]") {
  const auto* const status = GENERATE("I", "T", "E");
  CHECK(ReadReadyForQuery(AsBytes(status)) == *status);
  const auto* const wrong = GENERATE("", "X", "i", "II");
  CHECK_FALSE(ReadReadyForQuery(AsBytes(wrong)));
}

TEST_CASE("a ParameterStatus is a name and a value", "[parser][backend]") {
  const std::string body = CString("TimeZone") + CString("UTC");
  const auto parameter = ReadParameterStatus(AsBytes(body));
  REQUIRE(parameter);
  CHECK(parameter->first == "TimeZone");
  CHECK(parameter->second == "UTC");
  const auto cut = GENERATE(range<std::size_t>(0, 13));
  CHECK_FALSE(ReadParameterStatus(AsBytes(body).first(cut)));
}

TEST_CASE("of columns counts what PostgreSQL compares, and all of it", "[parser][backend]") {
  const auto column = [](std::string_view name, std::uint32_t table, std::uint32_t type, std::uint16_t length,
                         std::uint32_t modifier, std::uint16_t format) {
    return CString(name) + wire::U32(table) + wire::U16(1) + wire::U32(type) + wire::U16(length) + wire::U32(modifier) +
           wire::U16(format);
  };
  const auto columns = [](const std::string& one) { return ReadColumns(AsBytes(wire::U16(1) + one)); };
  const auto same = columns(column("a", 16384, 23, 4, 0xffffffff, 0));
  REQUIRE(same);
  CHECK(columns(column("a", 16999, 23, 4, 0xffffffff, 1)) == same);  // of another table, in binary
  CHECK(columns(column("b", 16384, 23, 4, 0xffffffff, 0)) != same);
  CHECK(columns(column("a", 16384, 20, 4, 0xffffffff, 0)) != same);
  CHECK(columns(column("a", 16384, 23, 8, 0xffffffff, 0)) != same);
  CHECK(columns(column("a", 16384, 23, 4, 14, 0)) != same);
  CHECK(ReadColumns(AsBytes(wire::U16(0))) == std::string());
  const auto whole = wire::U16(2) + column("a", 1, 23, 4, 0, 0) + column("b", 1, 25, 0xffff, 0, 0);
  REQUIRE(ReadColumns(AsBytes(whole)));
  CHECK(ReadColumns(AsBytes(whole)) != same);
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(ReadColumns(AsBytes(whole.substr(0, size))));
  CHECK_FALSE(ReadColumns(AsBytes(whole + "x")));
}

}  // namespace waypost
