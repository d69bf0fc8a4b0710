#include "parser/catalog.h"

#include <string>

#include <catch2/catch.hpp>

namespace waypost {

TEST_CASE("objects of one name combine, in all schemas or in the one named", "[parser][catalog]") {
  const Catalog catalog = CatalogBuilder()
                              .Function("b", "f", 1)
                              .Function("a", "f", 2)
                              .Function("a", "f", 4)
                              .Function("a", "g", 8)
                              .Take();
  CHECK(catalog.functions.size() == 3);
  CHECK(catalog.functions.Find("", "f") == 7);
  CHECK(catalog.functions.Find("a", "f") == 6);
  CHECK(catalog.functions.Find("b", "f") == 1);
  CHECK_FALSE(catalog.functions.Find("c", "f").has_value());
  CHECK_FALSE(catalog.functions.Find("", "h").has_value());
  CHECK_FALSE(catalog.functions.Find("", "").has_value());
}

TEST_CASE("kinds of objects do not mix", "[parser][catalog]") {
  const Catalog catalog = CatalogBuilder().Relation("a", "x", 1).Type("a", "y", 2).Take();
  CHECK(catalog.relations.Find("", "x") == 1);
  CHECK_FALSE(catalog.types.Find("", "x").has_value());
  CHECK(catalog.types.Find("", "y") == 2);
  CHECK_FALSE(catalog.functions.Find("", "x").has_value());
}

TEST_CASE("a name that no table can hold is not in it", "[parser][catalog]") {
  const Catalog catalog = CatalogBuilder().Relation("a", std::string(300, 'x'), 1).Take();
  CHECK_FALSE(catalog.relations.Find("", std::string(300, 'x')).has_value());
}

TEST_CASE("a catalogue is small", "[parser][catalog]") {
  CatalogBuilder builder;
  for (int i = 0; i < 3000; ++i) builder.Function("pg_catalog", "function_" + std::to_string(i), 1);
  CHECK(builder.Take().bytes() < 100'000);
}

}  // namespace waypost
