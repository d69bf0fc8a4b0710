#include "core/session/batch.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/costs.h"

using namespace waypost;

TEST_CASE("a portal is found by its name until it is closed or bound anew", "[core][batch]") {
  Portals portals;
  CHECK(portals.Find("") == nullptr);
  portals.Bind("", {.sql = nullptr, .pin = PinReason::kListen});
  portals.Bind("a", {.sql = nullptr, .pin = PinReason::kLoad});
  portals.Bind("a", {.sql = nullptr, .pin = PinReason::kSetSeed});
  REQUIRE(portals.Find("") != nullptr);
  CHECK(portals.Find("")->pin == PinReason::kListen);
  REQUIRE(portals.Find("a") != nullptr);
  CHECK(portals.Find("a")->pin == PinReason::kSetSeed);
  CHECK(portals.named() == 1);
  portals.Close("a");
  portals.Close("never");
  CHECK(portals.Find("a") == nullptr);
  CHECK(portals.named() == 0);
}

TEST_CASE("named portals outlive their batch in a transaction, the unnamed one does not", "[core][batch]") {
  Portals transaction, batch;
  transaction.Bind("a", {.sql = nullptr, .pin = PinReason::kLoad});
  transaction.Bind("b", {});
  batch.Bind("a", {.sql = nullptr, .pin = PinReason::kSetSeed});
  batch.Bind("", {});
  transaction.Merge(std::move(batch));
  CHECK(transaction.Find("") == nullptr);
  CHECK(transaction.Find("a")->pin == PinReason::kSetSeed);
  CHECK(transaction.Find("b") != nullptr);
}

TEST_CASE("many portals of one batch cost as much as they are many", "[core][batch][costs]") {
  const auto costs = CostsOf(4'000, [](std::size_t n) {
    Portals portals;
    for (std::size_t i = 0; i < n; ++i) portals.Bind("portal" + std::to_string(i), {});
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) found += portals.Find("portal" + std::to_string(i)) != nullptr ? 1 : 0;
    for (std::size_t i = 0; i < n; ++i) portals.Close("portal" + std::to_string(i));
    CHECK(found == n);
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}

TEST_CASE("what is done of a long batch is dropped at the cost of one move each", "[core][batch][costs]") {
  const auto costs = CostsOf(4'000, [](std::size_t n) {
    std::vector<Effect> effects(n);
    std::size_t done = 0;
    for (std::size_t i = 0; i < n; ++i) {
      ++done;
      Batch::DropDone(effects, done);
    }
    CHECK(effects.size() - done == 0);
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}

TEST_CASE("a batch that is used again holds no more memory than a small one needs", "[core][batch]") {
  Batch batch;
  batch.bytes.assign(1 << 20, 'x');
  batch.messages.resize(10'000);
  batch.effects.resize(10'000);
  batch.ran.resize(10'000);
  batch.portals.Bind("a", {});
  batch.Clear();
  CHECK(batch.bytes.capacity() <= 64 * 1024);
  CHECK(batch.messages.capacity() <= 256);
  CHECK(batch.effects.capacity() <= 256);
  CHECK(batch.ran.capacity() <= 256);
  CHECK(batch.portals.named() == 0);
}
