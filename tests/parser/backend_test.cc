#include "parser/backend.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::CString;

const std::string kError = "S" + CString("FEHLER") + "V" + CString("ERROR") + "C" +
                           CString("25006") + "M" + CString("read-only") + "F" +
                           CString("utility.c") + '\0';

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

}  // namespace waypost
