#include "parser/wire/encode.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/wire/backend.h"
#include "parser/wire/startup.h"
#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::CString;
using wire::Message;

template <class Append>
std::string Made(Append append) {
  std::string out = "kept";
  append(out);
  REQUIRE(out.starts_with("kept"));
  return out.substr(4);
}

}  // namespace

TEST_CASE("messages are appended as the protocol lays them out", "[parser][encode]") {
  CHECK(Made([](auto& out) { AppendQuery(out, "SELECT 1"); }) == wire::Query("SELECT 1"));
  CHECK(Made([](auto& out) { AppendReadyForQuery(out, 'T'); }) == Message('Z', "T"));
  CHECK(Made([](auto& out) { AppendEmpty(out, 'S'); }) == Message('S'));
  CHECK(Made([](auto& out) { AppendCommandComplete(out, "BEGIN"); }) == Message('C', CString("BEGIN")));
  CHECK(Made([](auto& out) { AppendParameterStatus(out, "a", "b"); }) == Message('S', CString("a") + CString("b")));
  const std::string types = wire::U16(1) + wire::U32(23);
  CHECK(Made([&](auto& out) { AppendParse(out, "n", "SELECT $1", AsBytes(types)); }) ==
        Message('P', CString("n") + CString("SELECT $1") + types));
}

TEST_CASE("several messages in one buffer each have their own length", "[parser][encode]") {
  CHECK(Made([](auto& out) {
          AppendQuery(out, "a");
          AppendEmpty(out, 'S');
          AppendQuery(out, std::string(70'000, 'b'));
        }) == wire::Query("a") + Message('S') + wire::Query(std::string(70'000, 'b')));
}

TEST_CASE("numbers are big-endian", "[parser][encode]") {
  CHECK(Made([](auto& out) { MessageBuilder(out, 'x').U16(0x0102).U32(0xA0B0C0D0); }) ==
        Message('x', "\x01\x02\xA0\xB0\xC0\xD0"));
}

TEST_CASE("an error is read back as it was written", "[parser][encode]") {
  const auto detail = GENERATE("", "why");
  const auto text = Made([&](auto& out) {
    AppendError(out, {.severity = "FATAL", .sqlstate = "57P01", .message = "m", .detail = detail, .hint = "h"});
  });
  CHECK(text[0] == 'E');
  CHECK(text.back() == '\0');
  const auto error = ReadError(AsBytes(text).subspan(5));
  CHECK(error.severity == "FATAL");
  CHECK(error.sqlstate == "57P01");
  CHECK(error.message == "m");
  CHECK((text.find("D" + CString("why")) != std::string::npos) == (*detail != 0));
  CHECK(text.find("H" + CString("h")) != std::string::npos);
}

TEST_CASE("a notice becomes an error of another severity, with all else that it says", "[parser][encode]") {
  const std::string notice = "S" + CString("WARNUNG") + "V" + CString("WARNING") + "C" + CString("57P02") + "M" + CString("m") +
                             "D" + CString("why") + "R" + CString("quickdie") + '\0';
  const auto text = ErrorWithSeverity(AsBytes(notice), "FATAL");
  CHECK(text == Message('E', "S" + CString("FATAL") + "V" + CString("FATAL") + "C" + CString("57P02") + "M" + CString("m") + "D" +
                                 CString("why") + "R" + CString("quickdie") + '\0'));
  // What is cut short says what is there.
  const auto cut = GENERATE_COPY(range<std::size_t>(0, notice.size()));
  const auto part = ErrorWithSeverity(AsBytes(notice).first(cut), "ERROR");
  CHECK(ReadError(AsBytes(part).subspan(5)).severity == "ERROR");
  CHECK(part.back() == '\0');
}

TEST_CASE("a start-up and a cancel packet have no type byte", "[parser][encode]") {
  const auto startup = Made([](auto& out) { AppendStartup(out, {{"user", "u"}, {"database", "d"}}); });
  CHECK(startup == wire::Startup({{"user", "u"}, {"database", "d"}}));
  const auto cancel = Made([](auto& out) { AppendCancelRequest(out, 7, wire::U32(0xFFFFFFFE)); });
  CHECK(cancel == wire::Packet(wire::U32(wire::kCancelCode) + wire::U32(7) + wire::U32(0xFFFFFFFE)));
}

}  // namespace waypost
