#include "core/net/backlog.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/costs.h"

using namespace waypost;

TEST_CASE("what came is looked at in order, however it is cut", "[core][backlog]") {
  Backlog backlog;
  std::string seen;
  for (int i = 0; i < 100; ++i) {
    backlog.Append(AsBytes(std::to_string(i) + ","));
    const auto take = backlog.size() * 2 / 3;
    seen += AsText(backlog.bytes().first(take));
    backlog.Take(take);
  }
  seen += AsText(backlog.bytes());
  std::string all;
  for (int i = 0; i < 100; ++i) all += std::to_string(i) + ",";
  CHECK(seen == all);
  backlog.Take(backlog.size());
  CHECK(backlog.empty());
}

TEST_CASE("small pieces of much cost as much as it is", "[core][backlog][costs]") {
  const auto costs = CostsOf(20'000, [](std::size_t n) {
    Backlog backlog;
    backlog.Append(AsBytes(std::string(n * 5, 'S')));
    while (!backlog.empty()) backlog.Take(5);
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}
