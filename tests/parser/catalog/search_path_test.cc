#include "parser/catalog/search_path.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

using Schemas = std::vector<std::string>;

}  // namespace

TEST_CASE("the value of search_path is read as SHOW prints it", "[parser][search_path]") {
  CHECK(ReadSearchPath("\"$user\", public", "joe").schemas == Schemas{"joe", "public"});
  CHECK(ReadSearchPath("Public,  \"Mixed \"\"x\"\"\" , a", "joe").schemas == Schemas{"public", "Mixed \"x\"", "a"});
  CHECK(ReadSearchPath("pg_temp, pg_catalog, a", "joe").schemas == Schemas{"a"});
  CHECK(ReadSearchPath("", "joe").known);
  CHECK(ReadSearchPath("\"\"", "joe").known);
  CHECK_FALSE(ReadSearchPath("\"$user\", public", "").known);
  CHECK_FALSE(ReadSearchPath("a b", "joe").known);
  CHECK_FALSE(ReadSearchPath("a,", "joe").known);
  CHECK_FALSE(ReadSearchPath(",a", "joe").known);
  CHECK_FALSE(ReadSearchPath("\"a", "joe").known);
  CHECK_FALSE(ReadSearchPath("a\"b", "joe").known);
}

TEST_CASE("the search_path that a statement sets is known, or said not to be", "[parser][search_path]") {
  const auto set = [](std::string_view sql) { return ReadSearchPathStatement(sql, "joe"); };
  CHECK(set("SET search_path TO 'a', 'B c'").schemas == Schemas{"a", "B c"});
  CHECK(set("SET search_path TO '$user', 'a,b'").schemas == Schemas{"joe", "a,b"});
  CHECK(set("SELECT pg_catalog.set_config('search_path','x, \"Y\"',false)").schemas == Schemas{"x", "Y"});
  CHECK_FALSE(set("SET search_path TO E'a'").known);
  CHECK_FALSE(set("SET search_path TO 5").known);
  CHECK_FALSE(set("SET search_path TO 'a' 'b'").known);
  CHECK_FALSE(set("SET search_path TO").known);
  CHECK_FALSE(set("SELECT pg_catalog.set_config('search_path','a',true)").known);
  CHECK_FALSE(set("SELECT 1").known);
}

TEST_CASE("pg_catalog is always searched", "[parser][search_path]") {
  const SearchPath path = ReadSearchPath("a", "joe");
  CHECK(path.Has("pg_catalog"));
  CHECK(path.Has("a"));
  CHECK_FALSE(path.Has("b"));
}

}  // namespace waypost
