#include "parser/catalog/catalog.h"

#include <string>

#include <catch2/catch.hpp>

namespace waypost {
namespace {

NameTable::Object Named(std::string schema, std::string name, Finding finding = {}) {
  finding.known = true;
  return {.schema = std::move(schema), .name = std::move(name), .finding = finding};
}

constexpr Finding kVolatile{.why = Reason::kVolatileFunction, .step = 7};
constexpr Finding kLocal{.needs_fence = true, .why = Reason::kServerLocal, .step = 9};

}  // namespace

TEST_CASE("objects of one name combine, in all schemas or in the one named", "[parser][catalog]") {
  const NameTable table({Named("b", "f"), Named("a", "f", kVolatile), Named("a", "f", kLocal), Named("a", "g")});
  CHECK(table.size() == 3);
  CHECK(table.Find("", "f").why == Reason::kVolatileFunction);
  CHECK(table.Find("", "f").needs_fence);
  CHECK(table.Find("a", "f").step == 7);
  CHECK(table.Find("b", "f").why == Reason::kReadSafe);
  CHECK(table.Find("b", "f").known);
  CHECK_FALSE(table.Find("c", "f").known);
  CHECK_FALSE(table.Find("", "h").known);
  CHECK_FALSE(table.Find("", "").known);
}

TEST_CASE("a search_path that is known narrows the schemas", "[parser][catalog]") {
  const NameTable table({Named("safe", "f"), Named("unsafe", "f", kVolatile), Named("pg_catalog", "g")});
  const SearchPath safe{.known = true, .schemas = {"safe"}};
  const SearchPath both{.known = true, .schemas = {"safe", "unsafe"}};
  const SearchPath nowhere{.known = true, .schemas = {}};
  const SearchPath unknown;
  CHECK(table.Find("", "f", -1, &safe).why == Reason::kReadSafe);
  CHECK(table.Find("", "f", -1, &both).why == Reason::kVolatileFunction);
  CHECK(table.Find("", "f", -1, &unknown).why == Reason::kVolatileFunction);
  CHECK(table.Find("unsafe", "f", -1, &safe).why == Reason::kVolatileFunction);
  CHECK_FALSE(table.Find("", "f", -1, &nowhere).known);
  CHECK(table.Find("", "g", -1, &nowhere).known);
}

TEST_CASE("overloads are told apart by how many arguments they take", "[parser][catalog]") {
  NameTable::Object one = Named("a", "f"), two = Named("a", "f", kVolatile);
  one.min_args = one.max_args = 1;
  two.min_args = 2;
  two.max_args = 3;
  const NameTable table({one, two});
  CHECK_FALSE(table.Find("", "f", 0).known);
  CHECK(table.Find("", "f", 1).why == Reason::kReadSafe);
  CHECK(table.Find("", "f", 2).why == Reason::kVolatileFunction);
  CHECK(table.Find("", "f", 3).why == Reason::kVolatileFunction);
  CHECK_FALSE(table.Find("", "f", 4).known);
  CHECK(table.Find("", "f", -1).why == Reason::kVolatileFunction);
}

TEST_CASE("what may leave anything behind covers the rest", "[parser][catalog]") {
  const NameTable table({Named("a", "f", {.pin = PinReason::kAdvisoryLock}), Named("b", "f", {.pin = PinReason::kUnknownState}),
                         Named("c", "f", {.pin = PinReason::kSetSeed})});
  CHECK(table.Find("", "f").pin == PinReason::kUnknownState);
  CHECK(table.Find("c", "f").pin == PinReason::kSetSeed);
}

TEST_CASE("a name that no table can hold is not in it", "[parser][catalog]") {
  const NameTable table({Named("a", std::string(300, 'x'))});
  CHECK_FALSE(table.Find("", std::string(300, 'x')).known);
}

TEST_CASE("a catalogue is small", "[parser][catalog]") {
  std::vector<NameTable::Object> objects;
  for (int i = 0; i < 3000; ++i) objects.push_back(Named("pg_catalog", "function_" + std::to_string(i)));
  CHECK(NameTable(std::move(objects)).bytes() < 130'000);
}

}  // namespace waypost
