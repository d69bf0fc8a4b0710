#include "routing/process_ids.h"

#include <catch2/catch.hpp>
#include <set>

namespace waypost {

TEST_CASE("a client knows its own notifications, and nobody else's are taken for them", "[routing][process_ids]") {
  constexpr std::uint32_t kBackend = 700, kTold = 4;
  CHECK(SenderTold(kBackend, kBackend, kTold) == kTold);
  std::set<std::uint32_t> told;
  for (std::uint32_t sender = 1; sender < 1'000; ++sender) {
    const auto its = SenderTold(sender, kBackend, kTold);
    if (sender != kBackend) CHECK(its != kTold);
    CHECK(told.insert(its).second);
  }
}

}  // namespace waypost
