#include "core/session/held_reply.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

const std::string kAnswer = "rows";

}  // namespace

TEST_CASE("what is not held is not held", "[core][held_reply]") {
  HeldReply held;
  CHECK(!held.holding());
  CHECK(!held.unproved());
  CHECK(!held.MayGo());
}

TEST_CASE("a held reply is taken as soon as it may go, and what follows goes to the client", "[core][held_reply]") {
  HeldReply held;
  held.Hold();
  held.Keep(AsBytes(kAnswer));
  CHECK(held.holding());
  CHECK(held.MayGo());
  CHECK(held.Take() == kAnswer);
  CHECK(!held.holding());
  CHECK(!held.MayGo());
}

TEST_CASE("an unproved reply goes once it is proved", "[core][held_reply]") {
  HeldReply held;
  held.AwaitProof();
  held.Hold();
  held.Keep(AsBytes(kAnswer));
  CHECK(held.unproved());
  SECTION("and may go by itself: at once") {
    CHECK(!held.MayGo());
    CHECK(held.Proved());
    CHECK(held.MayGo());
  }
  SECTION("and is long: at once") {
    held.Keep(AsBytes(std::string(HeldReply::kMostBytes, 'x')));
    CHECK(held.too_long());
    CHECK(held.Proved());
  }
  SECTION("and nothing of it has been decided: later") {
    CHECK(!held.Proved());
    CHECK(held.holding());
    CHECK(!held.unproved());
    CHECK(held.MayGo());
  }
}

TEST_CASE("the end of a held batch is told once", "[core][held_reply]") {
  HeldReply held;
  held.AwaitProof();
  held.End('I');
  CHECK(held.ended());
  SECTION("when it is proved") {
    CHECK(!held.Proved());
    CHECK(held.TakeEnd() == 'I');
  }
  SECTION("when it is thrown away") {
    CHECK(held.Drop() == 'I');
    CHECK(!held.holding());
  }
  CHECK(!held.ended());
  CHECK(!held.TakeEnd());
}

TEST_CASE("another answer may be held in its place", "[core][held_reply]") {
  HeldReply held;
  held.Hold();
  held.Keep(AsBytes(kAnswer));
  CHECK(held.TakeBytes() == kAnswer);
  CHECK(held.holding());
  held.Replace("checked");
  CHECK(held.MayGo());
  CHECK(held.Take() == "checked");
}

}  // namespace waypost
