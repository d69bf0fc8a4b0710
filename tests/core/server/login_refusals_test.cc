#include "core/server/login_refusals.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

const TimePoint kNow{seconds(100)};

LoginRefusal Refusal(ServerId server, const char* database, const char* user) {
  return {server, database, user, "no pg_hba.conf entry", kNow + LoginRefusals::kTakenOut};
}

}  // namespace

TEST_CASE("a refusal concerns one server, database and user, for a while", "[core][login_refusals]") {
  LoginRefusals refusals;
  CHECK(refusals.Of("d", "u", kNow) == 0);
  refusals.Note(Refusal(1, "d", "u"));
  refusals.Note(Refusal(63, "d", "u"));
  refusals.Note(Refusal(2, "other", "u"));
  CHECK(refusals.Of("d", "u", kNow) == ((std::uint64_t{1} << 63U) | 2U));
  CHECK(refusals.Of("other", "u", kNow) == 4U);
  CHECK(refusals.Of("d", "other", kNow) == 0);
  CHECK(refusals.Of("d", "u", kNow + LoginRefusals::kTakenOut) == 0);
  CHECK(refusals.Report(kNow).size() == 3);
  CHECK(refusals.Report(kNow + LoginRefusals::kTakenOut).empty());
}

TEST_CASE("a log-in that works, or the next refusal, takes the place of what was known", "[core][login_refusals]") {
  LoginRefusals refusals;
  refusals.Note(Refusal(1, "d", "u"));
  auto again = Refusal(1, "d", "u");
  again.error = "another";
  refusals.Note(again);
  REQUIRE(refusals.Report(kNow).size() == 1);
  CHECK(refusals.Report(kNow)[0].error == "another");
  refusals.Forget(1, "d", "u");
  CHECK(refusals.Of("d", "u", kNow) == 0);
}

}  // namespace waypost
