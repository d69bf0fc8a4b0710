#include "parser/wire/startup.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::CString;
using wire::Packet;
using wire::Startup;
using wire::U32;

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kNoTerminator = "invalid startup packet layout: expected terminator as last byte";
constexpr std::string_view kBadLength = "invalid length of startup packet";

StartupPacket Read(std::string_view wire) {
  Bytes input = AsBytes(wire);
  return ReadStartup(input);
}

// A start-up packet of protocol 3.0 whose parameters are `body`, right or wrong.
std::string StartupOf(std::string_view body) { return Packet(U32(wire::kProtocol30).append(body)); }

Pairs SettingsOf(std::string_view options) {
  Pairs settings;
  REQUIRE(ReadOptions(options, settings));
  return settings;
}

}  // namespace

TEST_CASE("a start-up packet is read with all it says", "[parser][startup]") {
  const auto packet = Read(Startup({{"user", "alice"},
                                    {"DateStyle", "ISO, DMY"},
                                    {"database", "shop"},
                                    {"options", "-c a=b"},
                                    {"replication", "true"},
                                    {"application_name", ""},
                                    {"_pq_.compression", "on"},
                                    {"_pq_.", ""}}));
  CHECK(packet.kind == StartupKind::kStartup);
  CHECK(packet.minor == 0);
  CHECK(packet.user == "alice");
  CHECK(packet.database == "shop");
  CHECK(packet.options == "-c a=b");
  CHECK(packet.replication == "true");
  CHECK(packet.parameters == Pairs{{"DateStyle", "ISO, DMY"}, {"application_name", ""}});
  CHECK(packet.unknown_options == std::vector<std::string>{"_pq_.compression", "_pq_."});
}

TEST_CASE("the database is the user's by default", "[parser][startup]") {
  CHECK(Read(Startup({{"user", "alice"}})).database == "alice");
  CHECK(Read(Startup({{"user", "alice"}, {"database", ""}})).database == "alice");
  CHECK(Read(Startup({{"database", "shop"}})).user.empty());
}

TEST_CASE("names that only begin like an option are parameters", "[parser][startup]") {
  const auto packet = Read(Startup({{"user", "u"}, {"_pq", "1"}, {"_pq_x", "2"}, {"User", "v"}}));
  CHECK(packet.user == "u");
  CHECK(packet.unknown_options.empty());
  CHECK(packet.parameters == Pairs{{"_pq", "1"}, {"_pq_x", "2"}, {"User", "v"}});
}

TEST_CASE("a parameter sent twice counts as it was sent last", "[parser][startup]") {
  const auto packet = Read(Startup({{"user", "a"}, {"user", "b"}, {"x", "1"}, {"x", "2"}}));
  CHECK(packet.user == "b");
  CHECK(packet.parameters == Pairs{{"x", "1"}, {"x", "2"}});
}

TEST_CASE("the minor version asked for is kept", "[parser][startup]") {
  const auto minor = GENERATE(0U, 2U, 9999U, 65535U);
  const auto packet = Read(Startup({{"user", "u"}}, wire::kProtocol30 + minor));
  CHECK(packet.kind == StartupKind::kStartup);
  CHECK(packet.minor == minor);
}

TEST_CASE("a protocol that is not 3 is named", "[parser][startup]") {
  const auto version = GENERATE(0U, 1U << 16U, 2U << 16U, (4U << 16U) + 7U, 0xFFFFFFFFU, (1234U << 16U) + 5681U);
  CAPTURE(version);
  const auto packet = Read(Startup({{"user", "u"}}, version));
  CHECK(packet.kind == StartupKind::kUnsupportedMajor);
  CHECK(packet.major == version >> 16U);
  CHECK(packet.minor == (version & 0xFFFFU));
}

TEST_CASE("any part of a packet asks for more and is left where it is", "[parser][startup]") {
  const std::string text = GENERATE(as<std::string>{}, Startup({{"user", "alice"}, {"database", "shop"}}),
                                    Packet(U32(wire::kCancelCode) + U32(17) + U32(99)), Packet(U32(wire::kSslCode)),
                                    Packet(U32(wire::kGssCode)), Startup({}, 2U << 16U));
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    CAPTURE(cut);
    Bytes input = AsBytes(text).first(cut);
    CHECK(ReadStartup(input).kind == StartupKind::kNeedMore);
    CHECK(input.size() == cut);
  }
}

TEST_CASE("what follows a packet stays in the input", "[parser][startup]") {
  const std::string behind = "\x16\x03\x01";
  const std::string text = GENERATE(as<std::string>{}, Startup({{"user", "u"}}), Packet(U32(wire::kSslCode)),
                                    Packet(U32(wire::kCancelCode) + U32(1) + U32(2)), Startup({}, 2U << 16U));
  const std::string both = text + behind;
  Bytes input = AsBytes(both);
  CHECK(ReadStartup(input).kind != StartupKind::kNeedMore);
  CHECK(AsText(input) == behind);
}

TEST_CASE("requests for encryption are told apart", "[parser][startup]") {
  CHECK(Read(Packet(U32(wire::kSslCode))).kind == StartupKind::kSslRequest);
  CHECK(Read(Packet(U32(wire::kGssCode))).kind == StartupKind::kGssRequest);
  const auto longer = Read(Packet(U32(GENERATE(wire::kSslCode, wire::kGssCode)) + '\0'));
  CHECK(longer.kind == StartupKind::kMalformed);
  CHECK(longer.fault == kBadLength);
}

TEST_CASE("a cancel request names its backend", "[parser][startup]") {
  const auto packet = Read(Packet(U32(wire::kCancelCode) + U32(0x80000001) + U32(0xDEADBEEF)));
  CHECK(packet.kind == StartupKind::kCancel);
  CHECK(packet.cancel_pid == 0x80000001);
  CHECK(packet.cancel_secret == U32(0xDEADBEEF));
}

TEST_CASE("a cancel key has as many bytes as the server gave it", "[parser][startup]") {
  const std::string secret(GENERATE(1, 3, 4, 5, 32, 256), '\xfe');
  const auto packet = Read(Packet(U32(wire::kCancelCode) + U32(7) + secret));
  CHECK(packet.kind == StartupKind::kCancel);
  CHECK(packet.cancel_pid == 7);
  CHECK(packet.cancel_secret == secret);
}

TEST_CASE("a cancel request of another length is malformed", "[parser][startup]") {
  const auto bytes = GENERATE(0, 1, 4, 261, 300);
  CAPTURE(bytes);
  const auto packet = Read(Packet(U32(wire::kCancelCode).append(std::size_t(bytes), '\1')));
  CHECK(packet.kind == StartupKind::kMalformed);
  CHECK(packet.fault == kBadLength);
}

TEST_CASE("a length that no packet can have is malformed at once", "[parser][startup]") {
  const auto length = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 10'001U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU,
                               0x47455420U /* "GET " */, 0x16030100U /* TLS */);
  CAPTURE(length);
  const std::string wire = U32(length);
  Bytes input = AsBytes(wire);
  const auto packet = ReadStartup(input);
  CHECK(packet.kind == StartupKind::kMalformed);
  CHECK(packet.fault == kBadLength);
  CHECK(input.size() == 4);
}

TEST_CASE("the longest packet is read", "[parser][startup]") {
  const std::string before = U32(wire::kProtocol30) + CString("user") + CString("u") + CString("application_name");
  const std::size_t room = kMaxStartupBytes - 4 - before.size() - 2;
  const auto packet = Read(Packet(before + CString(std::string(room, 'x')) + '\0'));
  CHECK(packet.kind == StartupKind::kStartup);
  REQUIRE(packet.parameters.size() == 1);
  CHECK(packet.parameters[0].second.size() == room);
  CHECK(Read(Packet(before + CString(std::string(room + 1, 'x')) + '\0')).kind == StartupKind::kMalformed);
}

TEST_CASE("parameters that are cut short or run on are malformed", "[parser][startup]") {
  const std::string body = GENERATE(as<std::string>{}, "",                            // no terminator at all
                                    "user", CString("user"),                          // a name without a value
                                    CString("user") + "alice",                        // a value without its end
                                    CString("user") + CString("alice"),               // the last terminator is missing
                                    CString("user") + CString("alice") + '\0' + 'x',  // something behind it
                                    std::string(2, '\0'));
  CAPTURE(body);
  const auto packet = Read(StartupOf(body));
  CHECK(packet.kind == StartupKind::kMalformed);
  CHECK(packet.fault == kNoTerminator);
}

TEST_CASE("a packet of any bytes is answered and never read past its end", "[parser][startup]") {
  const std::string valid = Startup({{"user", "alice"}, {"database", "shop"}, {"x", "y"}});
  const auto at = GENERATE_COPY(range<std::size_t>(4, valid.size()));
  for (const char byte : {'\0', '\1', 'a', '\xFF'}) {
    std::string damaged = valid;
    damaged[at] = byte;
    damaged.shrink_to_fit();
    CAPTURE(at, int{byte});
    CHECK(Read(damaged).kind != StartupKind::kNeedMore);
  }
}

TEST_CASE("options are settings in all their spellings", "[parser][startup]") {
  CHECK(SettingsOf("").empty());
  CHECK(SettingsOf(" \t\r\n\v\f ").empty());
  CHECK(SettingsOf("-c a=b") == Pairs{{"a", "b"}});
  CHECK(SettingsOf("-ca=b") == Pairs{{"a", "b"}});
  CHECK(SettingsOf("--a=b") == Pairs{{"a", "b"}});
  CHECK(SettingsOf("--search-path=x -c statement-timeout=5") == Pairs{{"search_path", "x"}, {"statement_timeout", "5"}});
  CHECK(SettingsOf("  -c\ta=b \n --c=d=e ") == Pairs{{"a", "b"}, {"c", "d=e"}});
  CHECK(SettingsOf("-c a=") == Pairs{{"a", ""}});
  CHECK(SettingsOf("-c a=-x-y") == Pairs{{"a", "-x-y"}});
}

TEST_CASE("a backslash in options takes the next character as it is", "[parser][startup]") {
  CHECK(SettingsOf(R"(-c a=b\ c)") == Pairs{{"a", "b c"}});
  CHECK(SettingsOf(R"(-c a=b\\c)") == Pairs{{"a", R"(b\c)"}});
  CHECK(SettingsOf(R"(-c a=b\x)") == Pairs{{"a", "bx"}});
  CHECK(SettingsOf(R"(-c a=b\)") == Pairs{{"a", "b"}});
  CHECK(SettingsOf("-c a=\\\t") == Pairs{{"a", "\t"}});
}

TEST_CASE("options that are no settings are refused", "[parser][startup]") {
  const auto* const options =
      GENERATE("-c", "-c a", "-c =b", "--a", "--=b", "--", "-", "a=b", "-d 5", "-E", "-c a=b x", "-c a=b -c", "\\");
  CAPTURE(options);
  Pairs settings;
  CHECK_FALSE(ReadOptions(options, settings));
}

}  // namespace waypost
