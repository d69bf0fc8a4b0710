#include "parser/wire/fields.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {

TEST_CASE("fields come in the order in which they stand", "[parser][fields]") {
  const std::string body = "B" + wire::U16(0xFFFE) + wire::U32(0x80000001) + wire::CString("text") + wire::CString("") + "raw!";
  Fields fields(AsBytes(body));
  CHECK(fields.Byte() == 'B');
  CHECK(fields.U16() == 0xFFFE);
  CHECK(fields.U32() == 0x80000001);
  CHECK(fields.CString() == "text");
  CHECK(fields.CString().empty());
  CHECK(AsText(fields.Take(3)) == "raw");
  CHECK(AsText(fields.rest()) == "!");
  CHECK(fields.ok());
  CHECK(fields.Take(1).size() == 1);
  CHECK(fields.rest().empty());
  CHECK(fields.Take(0).empty());
  CHECK(fields.ok());
}

TEST_CASE("a field that is not there is empty and remembered", "[parser][fields]") {
  const auto field = GENERATE(range(0, 5));
  CAPTURE(field);
  const std::string body = field == 0 ? "" : "x";
  Fields fields(AsBytes(body));
  switch (field) {
    case 0: CHECK(fields.Byte() == '\0'); break;
    case 1: CHECK(fields.U16() == 0); break;
    case 2: CHECK(fields.U32() == 0); break;
    case 3: CHECK(fields.CString().empty()); break;
    default: CHECK(fields.Take(2).empty()); break;
  }
  CHECK_FALSE(fields.ok());
  CHECK(fields.rest().empty());
  SECTION("and what follows fails too") {
    CHECK(fields.Byte() == '\0');
    CHECK_FALSE(fields.ok());
  }
}

TEST_CASE("a number cut short is no number", "[parser][fields]") {
  const auto bytes = GENERATE(range<std::size_t>(0, 4));
  const std::string body = wire::U32(0x01020304).substr(0, bytes);
  Fields fields(AsBytes(body));
  CHECK(fields.U32() == 0);
  CHECK_FALSE(fields.ok());
}

TEST_CASE("fields of an empty view are missing", "[parser][fields]") {
  Fields fields(Bytes{});
  CHECK(fields.CString().empty());
  CHECK_FALSE(fields.ok());
}

}  // namespace waypost
