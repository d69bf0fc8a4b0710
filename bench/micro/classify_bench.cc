// What a statement's classification costs: found by its text, found without its literals, parsed.
// "allocs" is operator new per statement.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "bench/micro/allocations.h"
#include "parser/catalog/sql_cache.h"
#include "parser/sql/facts.h"
#include "parser/sql/literal_key.h"
#include "tests/support/demo_catalog.h"

namespace waypost {
namespace {

constexpr std::string_view kShort = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;";
constexpr std::string_view kLong =
    "SELECT t.id, t.name, t2.owner, t2.created FROM t JOIN t2 ON t2.id = t.id "
    "WHERE t.state = 'open' AND t2.owner = 'somebody' AND t.id > 12345 AND t2.rank <= 17 "
    "ORDER BY t2.created LIMIT 50 OFFSET 1000 -- xy";
static_assert(kShort.size() == 56);
static_assert(kLong.size() == 203);

void Report(benchmark::State& state, std::uint64_t before) {
  state.counters["allocs"] = benchmark::Counter(static_cast<double>(Allocations() - before), benchmark::Counter::kAvgIterations);
}

void CachedExact(benchmark::State& state, std::string_view sql) {
  const Catalog catalog = DemoCatalog();
  SqlCache cache;
  // As many other statements as an application has.
  for (int i = 0; i < 500; ++i) (void)cache.Find("SELECT a" + std::to_string(i) + " FROM t", {}, 1, &catalog);
  (void)cache.Find(sql, {}, 1, &catalog);
  const std::uint64_t before = Allocations();
  for (auto _ : state) benchmark::DoNotOptimize(cache.Find(sql, {}, 1, &catalog));
  Report(state, before);
}

// Another number each time, as pgbench -S sends.
void CachedByLiterals(benchmark::State& state) {
  const Catalog catalog = DemoCatalog();
  SqlCache cache;
  for (int i = 0; i < 500; ++i) (void)cache.Find("SELECT a" + std::to_string(i) + " FROM t", {}, 1, &catalog);
  (void)cache.Find(kShort, {}, 1, &catalog);
  std::string sql(kShort);
  const std::size_t at = sql.find("12345");
  unsigned number = 12345;
  const std::uint64_t before = Allocations();
  for (auto _ : state) {
    number = number * 1103515245U + 12345U;
    for (std::size_t i = 0; i < 5; ++i) sql[at + i] = static_cast<char>('0' + (number >> (3 * i)) % 8);
    benchmark::DoNotOptimize(cache.Find(sql, {}, 1, &catalog));
  }
  Report(state, before);
  state.counters["parsed"] = static_cast<double>(cache.counters().misses - 501);
}

void Parse(benchmark::State& state, std::string_view sql) {
  const std::uint64_t before = Allocations();
  for (auto _ : state) benchmark::DoNotOptimize(Analyse(sql, {}));
  Report(state, before);
}

// All of it: look-up, parse, resolve, store, evict.
void Uncached(benchmark::State& state, std::string_view sql) {
  const Catalog catalog = DemoCatalog();
  SqlCache cache(SqlCacheLimits{.max_entries = 64});
  std::string text(sql);
  const std::size_t at = text.find("FROM") - 2;  // the last letter of a column's name: another statement each time
  std::uint64_t number = 0;
  const std::uint64_t before = Allocations();
  for (auto _ : state) {
    std::uint64_t digits = number++;
    for (std::size_t i = 0; i < 6; ++i, digits /= 26) text[at - i] = static_cast<char>('a' + digits % 26);
    benchmark::DoNotOptimize(cache.Find(text, {}, 1, &catalog));
  }
  Report(state, before);
  if (cache.counters().hits + cache.counters().literal_hits != 0) state.SkipWithError("was cached");
}

BENCHMARK_CAPTURE(CachedExact, 56_bytes, kShort);
BENCHMARK_CAPTURE(CachedExact, 203_bytes, kLong);
BENCHMARK(CachedByLiterals);
BENCHMARK_CAPTURE(Parse, 56_bytes, kShort);
BENCHMARK_CAPTURE(Parse, 203_bytes, kLong);
BENCHMARK_CAPTURE(Uncached, 56_bytes, kShort);
BENCHMARK_CAPTURE(Uncached, 203_bytes, kLong);

}  // namespace
}  // namespace waypost

BENCHMARK_MAIN();
