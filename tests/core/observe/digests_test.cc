#include "core/observe/digests.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "parser/catalog/catalog.h"

namespace waypost {
namespace {

struct Table {
  SqlCache cache;
  Digests digests;
  std::string database = "d", user = "u";
  TimePoint now{};

  explicit Table(std::size_t max) {
    digests.SetLimit(max);
    digests.Replenish(std::chrono::hours(1));
  }
  DigestNote Note(std::string_view sql) { return digests.Note(*cache.Find(sql, {}, 1, nullptr), {database, user, now}); }
  void Call(std::string_view sql) {
    const auto note = Note(sql);
    if (auto* digest = digests.Find(note)) {
      ++digest->calls;
      digest->last_seen = now;
    }
    now += milliseconds(1);
  }
  const Digest* Named(const DigestReport& report, std::string_view text) {
    for (const auto& digest : report.digests)
      if (*digest.text == text) return &digest;
    return nullptr;
  }
};

}  // namespace

TEST_CASE("texts that differ in literals and blanks are one digest", "[core][digests]") {
  Table table(10);
  const auto first = table.Note("SELECT * FROM t WHERE id = 1");
  REQUIRE(first != 0);
  CHECK(table.digests.Report().digests.empty());  // nothing was called yet
  CHECK(table.Note("SELECT * FROM t WHERE id = 2") == first);
  CHECK(table.Note("select *  from t where id = 'x' -- y") == first);
  CHECK(table.Note("SELECT * FROM t WHERE other = 1") != first);
  table.user = "v";
  CHECK(table.Note("SELECT * FROM t WHERE id = 1") != first);
  table.user = "u";
  CHECK(table.Note("SELECT * FROM t WHERE id = 1") == first);
  CHECK(table.digests.size() == 3);
  const auto* digest = table.digests.Find(first);
  REQUIRE(digest != nullptr);
  CHECK(*digest->text == "SELECT * FROM t WHERE id = ?");
  CHECK(digest->fingerprint.has_value());
  CHECK(digest->verdict == Reason::kNoCatalog);
  CHECK(digest->database == "d");
}

TEST_CASE("what does not parse and what is very long is counted by its beginning", "[core][digests]") {
  Table table(10);
  const auto wrong = table.Note("SELEC 'secret'");
  REQUIRE(wrong != 0);
  CHECK(table.Note("SELEC 'other'") == wrong);
  CHECK_FALSE(table.digests.Find(wrong)->fingerprint.has_value());
  CHECK(*table.digests.Find(wrong)->text == "SELEC ?");
  std::string longer = "SELECT 1";
  while (longer.size() < 100'000) longer += ", abcdefgh";
  const auto lengthy = table.Note(longer);
  REQUIRE(lengthy != 0);
  CHECK(table.Note(longer + ", x") == lengthy);
  CHECK(table.digests.Find(lengthy)->text->size() <= kMaxDigestTextBytes + 3);
}

TEST_CASE("ten thousand classes of statements leave what is used most", "[core][digests]") {
  constexpr std::size_t kMax = 1000;
  Table table(kMax);
  for (int i = 0; i < 10'000; ++i) {
    table.Call("SELECT column_" + std::to_string(i) + " FROM t");
    if (i % 10 == 0) table.Call("SELECT busy FROM t WHERE id = " + std::to_string(i));
    CHECK(table.digests.size() <= kMax);
  }
  const auto report = table.digests.Report();
  CHECK(report.digests.size() <= kMax);
  CHECK(report.evicted >= 9'000);
  const auto* busy = table.Named(report, "SELECT busy FROM t WHERE id = ?");
  REQUIRE(busy != nullptr);
  CHECK(busy->calls == 1000);
  CHECK(table.Named(report, "SELECT column_9999 FROM t") != nullptr);
  CHECK(table.Named(report, "SELECT column_1 FROM t") == nullptr);
}

TEST_CASE("a note of an entry that went finds nothing, and is made anew", "[core][digests]") {
  Table table(1);
  const auto first = table.Note("SELECT a FROM t");
  const auto second = table.Note("SELECT b FROM t");
  CHECK(table.digests.Find(first) == nullptr);
  CHECK(table.digests.Find(second) != nullptr);
  const auto again = table.Note("SELECT a FROM t");
  CHECK(again != first);
  CHECK(table.digests.Find(again) != nullptr);
  table.digests.SetLimit(0);
  CHECK(table.digests.Find(again) == nullptr);
  CHECK(table.Note("SELECT a FROM t") == 0);
  CHECK(table.digests.Report().digests.empty());
  table.digests.SetLimit(1);
  CHECK(table.digests.Find(again) == nullptr);
  CHECK(table.Note("SELECT a FROM t") != 0);
}

TEST_CASE("new texts that come too fast are not looked into, but counted as such", "[core][digests]") {
  Table table(10);
  const auto known = table.Note("SELECT a FROM t");
  table.digests.Replenish(Duration::zero());
  CHECK(table.Note("SELECT b FROM t") == 0);
  CHECK(table.Note("SELECT a FROM t") == known);
  CHECK(table.digests.Report().uncounted == 1);
  table.digests.Replenish(std::chrono::hours(1));
  CHECK(table.Note("SELECT b FROM t") != 0);
}

TEST_CASE("reports of several workers are one", "[core][digests]") {
  Table one(10);
  Table two(10);
  one.Call("SELECT a FROM t");
  two.now += seconds(1);
  two.Call("SELECT a FROM t");
  two.Call("SELECT b FROM t");
  one.digests.Find(one.Note("SELECT a FROM t"))->max = milliseconds(5);
  auto report = one.digests.Report();
  report.Add(two.digests.Report());
  REQUIRE(report.digests.size() == 2);
  CHECK(report.digests[0].calls == 2);
  CHECK(report.digests[0].max == milliseconds(5));
  CHECK(report.digests[0].last_seen == TimePoint{} + seconds(1));
}

}  // namespace waypost
