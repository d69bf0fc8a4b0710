#include "parser/wire/frame.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/every_split.h"
#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::Header;
using wire::Message;
using wire::Query;

FramesSeen SeenWhole(std::string_view wire) {
  FrameReader reader;
  reader.Take(wire);
  return reader.seen();
}

FramesSeen SeenSplit(std::string_view wire, std::size_t cut) {
  FrameReader reader;
  for (const auto piece : SplitAt(wire, cut)) reader.Take(piece);
  return reader.seen();
}

}  // namespace

TEST_CASE("the headers and bodies of a wire are those that were put into it", "[parser][frame]") {
  const auto seen = SeenWhole(Query("SELECT 1") + Message('S') + Message('d', "\x01\x02"));
  REQUIRE(seen.frames.size() == 3);
  CHECK(seen.frames[0] == FramesSeen::Frame{'Q', wire::CString("SELECT 1")});
  CHECK(seen.frames[1] == FramesSeen::Frame{'S', ""});
  CHECK(seen.frames[2] == FramesSeen::Frame{'d', "\x01\x02"});
  CHECK(seen.status == FrameStatus::kNeedMore);
}

TEST_CASE("frames are found whatever the read boundaries", "[parser][frame]") {
  const std::string one = Query("SELECT 1") + Message('S') + Message('H');
  const std::string extended = Message('P', wire::CString("") + wire::CString("SELECT $1") + wire::U16(0)) + Message('S') +
                               Query("") + Message('d', std::string(300, 'x'));
  const std::vector<std::string> wires = {one, extended, extended + Header('Q', 3), one + Header('Q', 0xFFFFFFFF) + one,
                                          extended + Header('Q', 9).substr(0, 3)};
  const auto which = GENERATE(range<std::size_t>(0, 5));
  const auto& text = wires.at(which);
  const auto cut = GENERATE_COPY(range<std::size_t>(0, text.size() + 2));
  CAPTURE(text.size(), cut);
  CHECK(SeenSplit(text, cut) == SeenWhole(text));
}

TEST_CASE("a header is announced before its body is there", "[parser][frame]") {
  const std::string wire = Header('D', 4 + 1'000'000);
  Bytes input = AsBytes(wire);
  FrameHeader header;
  CHECK(NextHeader(input, header) == FrameStatus::kHeader);
  CHECK(header.type == 'D');
  CHECK(header.body_bytes == 1'000'000);
  CHECK(input.empty());
}

TEST_CASE("a header that is not whole is left where it is", "[parser][frame]") {
  const auto bytes = GENERATE(range<std::size_t>(0, kHeaderBytes));
  const std::string wire = Message('S').substr(0, bytes);
  Bytes input = AsBytes(wire);
  FrameHeader header{'?', 7};
  CHECK(NextHeader(input, header) == FrameStatus::kNeedMore);
  CHECK(input.size() == bytes);
  CHECK(header.type == '?');
  CHECK(header.body_bytes == 7);
}

TEST_CASE("a length that no message can have is malformed and nothing is taken", "[parser][frame]") {
  const auto length =
      GENERATE(0U, 1U, 3U, 0xFFFFFFFFU, 0x7FFFFFFFU, 0x80000000U, 0x80000004U, 4U + kMaxMessageBytes + 1U, 0x40000003U);
  CAPTURE(length);
  const std::string wire = Header('Q', length) + "SELECT";
  Bytes input = AsBytes(wire);
  FrameHeader header{'?', 7};
  CHECK(NextHeader(input, header) == FrameStatus::kMalformed);
  CHECK(input.size() == wire.size());
  CHECK(header.type == '?');
  CHECK(header.body_bytes == 7);
}

TEST_CASE("the shortest and the longest message are taken", "[parser][frame]") {
  const auto body = GENERATE(0U, 1U, 9'996U, kMaxMessageBytes - 1, kMaxMessageBytes);
  const std::string wire = Header('d', 4 + body);
  Bytes input = AsBytes(wire);
  FrameHeader header;
  CHECK(NextHeader(input, header) == FrameStatus::kHeader);
  CHECK(header.body_bytes == body);
}

TEST_CASE("a garbled type byte is still a header: who reads it decides", "[parser][frame]") {
  const auto type = GENERATE('\0', '\x7F', '\xFF', '\x16');
  const std::string wire = Message(type, "x");
  Bytes input = AsBytes(wire);
  FrameHeader header;
  CHECK(NextHeader(input, header) == FrameStatus::kHeader);
  CHECK(header.type == type);
  CHECK(CheckFrontendHeader(header) == FrontendFault::kUnknownType);
}

TEST_CASE("the types a client may send are PostgreSQL's, and no other", "[parser][frame]") {
  const std::string known = "QFXBCDEHPSdcf";
  for (int byte = 0; byte < 256; ++byte) {
    const char type = static_cast<char>(byte);
    CAPTURE(byte);
    const bool is_known = known.find(type) != std::string::npos;
    CHECK((CheckFrontendHeader({type, 0}) == FrontendFault::kNone) == is_known);
  }
}

TEST_CASE("messages of names and numbers have a lower length limit", "[parser][frame]") {
  const char small = GENERATE('C', 'D', 'E', 'H', 'S', 'X', 'c', 'f');
  CAPTURE(small);
  CHECK(CheckFrontendHeader({small, kMaxSmallMessageBytes - 4}) == FrontendFault::kNone);
  CHECK(CheckFrontendHeader({small, kMaxSmallMessageBytes - 3}) == FrontendFault::kTooLong);
  CHECK(CheckFrontendHeader({small, kMaxMessageBytes}) == FrontendFault::kTooLong);
  const char large = GENERATE('Q', 'P', 'B', 'F', 'd');
  CAPTURE(large);
  CHECK(CheckFrontendHeader({large, kMaxMessageBytes - 4}) == FrontendFault::kNone);
  CHECK(CheckFrontendHeader({large, kMaxMessageBytes - 3}) == FrontendFault::kTooLong);
}

}  // namespace waypost
