#include "parser/wire/frontend.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

using wire::CString;
using wire::U16;
using wire::U32;

// True if `read` takes all of `body`, but no shorter and no longer one.
template <class Read>
bool OnlyWhole(const std::string& body, Read read) {
  bool only = read(AsBytes(body)).has_value() && !read(AsBytes(body + '\0')).has_value();
  for (std::size_t cut = 0; cut < body.size(); ++cut) only = only && !read(AsBytes(body).first(cut)).has_value();
  return only;
}

}  // namespace

TEST_CASE("a Query is its text", "[parser][frontend]") {
  const std::string body = CString("SELECT 1");
  CHECK(ReadQuery(AsBytes(body)) == "SELECT 1");
  CHECK(ReadQuery(AsBytes(std::string_view("\0", 1))) == "");
  CHECK(OnlyWhole(body, ReadQuery));
  CHECK(OnlyWhole(CString(""), ReadQuery));
}

TEST_CASE("a Query with text behind its end is not well formed", "[parser][frontend]") {
  CHECK_FALSE(ReadQuery(AsBytes(CString("SELECT 1") + CString("DROP TABLE t"))));
}

TEST_CASE("a Parse is a name, a text and types", "[parser][frontend]") {
  const std::string types = U16(2) + U32(23) + U32(0);
  const std::string body = CString("s1") + CString("SELECT $1, $2") + types;
  const auto message = ReadParse(AsBytes(body));
  REQUIRE(message);
  CHECK(message->name == "s1");
  CHECK(message->sql == "SELECT $1, $2");
  CHECK(AsText(message->types) == types);
  CHECK(OnlyWhole(body, ReadParse));
  CHECK(OnlyWhole(CString("") + CString("") + U16(0), ReadParse));
}

TEST_CASE("a Parse that promises more types than it has is not well formed", "[parser][frontend]") {
  const auto count = GENERATE(2, 0x7FFF, 0xFFFF);
  const std::string body = CString("") + CString("x") + U16(std::uint16_t(count)) + U32(23);
  CHECK_FALSE(ReadParse(AsBytes(body)));
}

TEST_CASE("a Bind is two names and what follows", "[parser][frontend]") {
  const std::string rest = U16(0) + U16(0) + U16(0);
  const std::string body = CString("p") + CString("s1") + rest;
  const auto message = ReadBind(AsBytes(body));
  REQUIRE(message);
  CHECK(message->portal == "p");
  CHECK(message->statement == "s1");
  CHECK(AsText(message->rest) == rest);
  CHECK_FALSE(ReadBind(AsBytes(std::string_view("p\0s1", 4))));
  CHECK_FALSE(ReadBind(Bytes{}));
}

TEST_CASE("the formats of what a Bind returns are counted behind its values", "[parser][frontend]") {
  const auto count = GENERATE(std::uint16_t(0), std::uint16_t(1), std::uint16_t(3));
  std::string formats = U16(count);
  for (unsigned i = 0; i < count; ++i) formats += U16(1);
  const std::string values = U16(1) + U16(1) + U16(3) + U32(4) + "1234" + U32(0xFFFFFFFF) + U32(0);
  CHECK(CountResultFormats(AsBytes(values + formats)) == count);
  CHECK(CountResultFormats(AsBytes(U16(0) + U16(0) + formats)) == count);
  for (std::size_t cut = 0; cut < values.size() + 2; ++cut)
    CHECK_FALSE(CountResultFormats(AsBytes((values + formats).substr(0, cut))));
}

TEST_CASE("Describe and Close name a statement or a portal", "[parser][frontend]") {
  const char kind = GENERATE('S', 'P');
  const std::string body = kind + CString("name");
  const auto message = ReadTarget(AsBytes(body));
  REQUIRE(message);
  CHECK(message->kind == kind);
  CHECK(message->name == "name");
  CHECK(OnlyWhole(body, ReadTarget));
  CHECK(OnlyWhole(kind + CString(""), ReadTarget));
}

TEST_CASE("Describe and Close of anything else are not well formed", "[parser][frontend]") {
  const char kind = GENERATE('\0', 's', 'p', 'X');
  CHECK_FALSE(ReadTarget(AsBytes(kind + CString("name"))));
}

TEST_CASE("an Execute names its portal", "[parser][frontend]") {
  const std::string body = CString("p1") + U32(100);
  CHECK(ReadExecutePortal(AsBytes(body)) == "p1");
  CHECK(OnlyWhole(body, ReadExecutePortal));
}

}  // namespace waypost
