#include "routing/name_context.h"

#include <catch2/catch.hpp>

#include "parser/catalog/builder.h"

namespace waypost {
namespace {

constexpr NameContext::Moment kNow{.generation = 1, .clock = 7};
constexpr NameContext::Whose kWho{.user = "joe", .database = "shop"};

struct World {
  const Catalog catalog = CatalogBuilder().Take();
  ContextTable contexts;
  NameContext context;
  void Renew(NameContext::Found found) { context.Renew(kNow, found, kWho, contexts); }
  NameContext::Found Fresh() const { return {.catalog = &catalog, .version = 3}; }
};

}  // namespace

TEST_CASE("a context holds until a catalogue, the clock of DDL or a setting changes", "[routing][name_context]") {
  World w;
  CHECK_FALSE(w.context.HoldsAt(kNow));
  w.Renew(w.Fresh());
  CHECK(w.context.HoldsAt(kNow));
  CHECK_FALSE(w.context.HoldsAt({.generation = 2, .clock = 7}));
  CHECK_FALSE(w.context.HoldsAt({.generation = 1, .clock = 8}));
  w.context.SetSettings("", "");
  CHECK_FALSE(w.context.HoldsAt(kNow));
}

TEST_CASE("whatever decides how names are looked up makes another context", "[routing][name_context]") {
  World w;
  w.Renew(w.Fresh());
  const auto first = w.context.Here().context;
  w.Renew(w.Fresh());
  CHECK(w.context.Here().context == first);
  SECTION("another catalogue") { w.Renew({.catalog = &w.catalog, .version = 4}); }
  SECTION("one that is stale") {
    w.Renew({.catalog = &w.catalog, .version = 3, .stale = true});
    CHECK(w.context.Here().outlook.stale);
  }
  SECTION("none") {
    w.Renew({.catalog = nullptr, .version = 3, .stale = true});
    CHECK_FALSE(w.context.Here().outlook.stale);
  }
  SECTION("a path") {
    w.context.SetSettings("SET search_path TO 'a', 'b'", "");
    w.Renew(w.Fresh());
  }
  SECTION("a role") {
    w.context.SetSettings("", "SET role TO 'r'");
    w.Renew(w.Fresh());
  }
  CHECK(w.context.Here().context != first);
}

TEST_CASE("names are looked up in the path that was set", "[routing][name_context]") {
  World w;
  w.context.SetSettings("SET search_path TO 'a', '$user'", "");
  w.Renew(w.Fresh());
  REQUIRE(w.context.Here().outlook.path != nullptr);
  CHECK(w.context.Here().outlook.path->known);
  CHECK(w.context.Here().outlook.path->Has("joe"));
  SECTION("which is not known if it names whoever the session is now") {
    w.context.SetSettings("SET search_path TO 'a', '$user'", "SET role TO 'r'");
    w.Renew(w.Fresh());
    CHECK_FALSE(w.context.Here().outlook.path->known);
  }
}

TEST_CASE("behind a SET of the same batch no path is known", "[routing][name_context]") {
  World w;
  w.Renew(w.Fresh());
  const auto behind = w.context.BehindSet(kWho.database, w.contexts);
  CHECK(behind.outlook.path == nullptr);
  CHECK(behind.context != w.context.Here().context);
}

}  // namespace waypost
