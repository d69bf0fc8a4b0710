#include <catch2/catch.hpp>
#include <string>

#include "tests/support/costs.h"
#include "tests/support/ledger_script.h"

using namespace waypost;

namespace {

constexpr std::size_t kMany = 10'000;

}  // namespace

TEST_CASE("many batches in flight cost as much as they are many", "[routing][ledger][costs]") {
  struct Kind {
    const char *sent, *answered;
  };
  const auto kind = GENERATE(Kind{"S", "Z"}, Kind{"CS", "3Z"}, Kind{"PBES", "12CZ"}, Kind{"PBES", "EZ"}, Kind{"Q", "CZ"});
  CAPTURE(kind.sent);
  const auto costs = CostsOf(kMany, [&](std::size_t n) {
    Conversation talk;
    talk.Send(Times(n, kind.sent));
    talk.Receive(Times(n, kind.answered));
    CHECK(talk.ledger.Idle());
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}

TEST_CASE("many Syncs behind a COPY cost as much as they are many", "[routing][ledger][costs]") {
  const auto costs = CostsOf(kMany, [](std::size_t n) {
    Conversation talk;
    talk.Send("PBE" + Times(n, "S"));
    talk.Receive("12G");
    CHECK(talk.ledger.CopyIn());
    talk.Send("cS");
    talk.Receive("CZ");
    CHECK(talk.ledger.Idle());
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}

TEST_CASE("many COPYs in flight, each with its end, cost as much as they are many", "[routing][ledger][costs]") {
  const auto costs = CostsOf(kMany, [](std::size_t n) {
    Conversation talk;
    talk.Send("P" + Times(n, "BEc") + "S");
    talk.Receive("1" + Times(n, "2GC") + "Z");
    CHECK(talk.ledger.Idle());
  });
  CAPTURE(costs);
  CHECK(costs.Linear());
}
