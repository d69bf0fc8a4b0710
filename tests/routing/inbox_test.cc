#include "routing/inbox.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

namespace waypost {
namespace {

// Takes all of `input`, `piece` bytes at a time; what was streamed.
std::string StreamedOf(Inbox& inbox, std::string_view input, std::size_t piece) {
  std::string streamed;
  while (!input.empty()) {
    auto here = AsBytes(input.substr(0, piece));
    const auto size = here.size();
    while (!here.empty() && inbox.rest() != Inbox::Rest::kNone) {
      const bool streams = inbox.rest() == Inbox::Rest::kStreamed;
      const auto taken = inbox.TakeRest(here);
      if (streams) streamed += AsText(taken);
    }
    if (!here.empty()) return streamed + "|" + std::string(input.substr(size - here.size()));
    input.remove_prefix(size);
  }
  return streamed;
}

}  // namespace

TEST_CASE("the rest of a message ends with its last byte, however it is split", "[routing][inbox]") {
  const std::string input = "restnext";
  const auto piece = GENERATE(range<std::size_t>(1, 9));
  CAPTURE(piece);
  Inbox inbox;
  SECTION("streamed") {
    inbox.Stream(4);
    CHECK(inbox.rest() == Inbox::Rest::kStreamed);
    CHECK(StreamedOf(inbox, input, piece) == "rest|next");
  }
  SECTION("dropped") {
    inbox.Drop(4);
    CHECK(StreamedOf(inbox, input, piece) == "|next");
  }
  CHECK(inbox.rest() == Inbox::Rest::kNone);
  CHECK(inbox.fresh());
}

TEST_CASE("a message without a rest leaves none", "[routing][inbox]") {
  Inbox inbox;
  inbox.Drop(0);
  CHECK(inbox.rest() == Inbox::Rest::kNone);
  inbox.Stream(0);
  CHECK(inbox.rest() == Inbox::Rest::kNone);
  CHECK_FALSE(inbox.LoseServer());
}

TEST_CASE("what was to go to a server that is lost is dropped", "[routing][inbox]") {
  Inbox inbox;
  inbox.Stream(4);
  auto in = AsBytes(std::string_view("r"));
  (void)inbox.TakeRest(in);
  CHECK(inbox.LoseServer());
  CHECK(inbox.rest() == Inbox::Rest::kDropped);
  CHECK(StreamedOf(inbox, "estnext", 7) == "|next");
  CHECK_FALSE(inbox.LoseServer());
}

TEST_CASE("a large message at the head waits for a server", "[routing][inbox]") {
  Inbox inbox;
  CHECK_FALSE(inbox.large());
  inbox.AwaitServer('B');
  CHECK(inbox.large());
  CHECK_FALSE(inbox.LargeQuery());
  CHECK_FALSE(inbox.fresh());
  inbox.AwaitServer('Q');
  CHECK(inbox.LargeQuery());
  inbox.EndLarge();
  CHECK_FALSE(inbox.large());
  CHECK_FALSE(inbox.LargeQuery());
  CHECK(inbox.fresh());
}

TEST_CASE("a message that was answered is dropped once", "[routing][inbox]") {
  Inbox inbox;
  inbox.DropNext(true);
  CHECK_FALSE(inbox.fresh());
  CHECK(inbox.TakeDropNext());
  CHECK_FALSE(inbox.TakeDropNext());
  CHECK(inbox.fresh());
}

TEST_CASE("messages are skipped until Sync says otherwise", "[routing][inbox]") {
  Inbox inbox;
  inbox.SkipToSync(true);
  CHECK(inbox.skips_to_sync());
  CHECK_FALSE(inbox.fresh());
  inbox.SkipToSync(false);
  CHECK(inbox.fresh());
}

}  // namespace waypost
