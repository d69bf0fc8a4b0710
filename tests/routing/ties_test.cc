#include "routing/ties.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/wire/encode.h"

namespace waypost {
namespace {

std::string AuditRow(std::string_view kind) {
  std::string row;
  {
    MessageBuilder builder(row, 'D');
    builder.U16(3);
    for (const auto value : {kind, std::string_view(), std::string_view()})
      builder.U32(static_cast<std::uint32_t>(value.size())).Raw(AsBytes(value));
  }
  return row.substr(5);
}

const Relaying kAlone{}, kPinned{.decision = {}, .pin = PinReason::kListen}, kInside{.decision = {}, .block = true};

}  // namespace

TEST_CASE("a batch that ties nothing lets the connection go", "[routing][ties]") {
  Ties ties;
  ties.BatchBegins(true, false, PinReason::kNone);
  const auto done = ties.AfterBatch({}, {.relaying = &kAlone});
  CHECK(done.pin == PinReason::kNone);
  CHECK_FALSE(done.audit);
  CHECK_FALSE(done.unpinned);
}

TEST_CASE("what no audit can list ties for good, until the lease ends", "[routing][ties]") {
  Ties ties;
  CHECK(ties.AfterBatch({.unseen = true, .unlisted = true}, {.relaying = &kAlone}).pin == PinReason::kUnknownState);
  CHECK(ties.AfterBatch({}, {.relaying = &kAlone}).pin == PinReason::kUnknownState);
  SECTION("DISCARD ALL ends it") {
    ties.Discarded();
    const auto done = ties.AfterBatch({}, {.relaying = &kAlone});
    CHECK(done.pin == PinReason::kNone);
    CHECK(done.unpinned);
    CHECK_FALSE(ties.unseen());
  }
  SECTION("and so does the end of the lease") {
    ties.EndLease();
    CHECK(ties.AfterBatch({}, {.relaying = &kAlone}).pin == PinReason::kNone);
  }
}

TEST_CASE("a library that was loaded stays, DISCARD ALL or not", "[routing][ties]") {
  Ties ties;
  CHECK(ties.AfterBatch({.pin = PinReason::kLoad}, {.relaying = &kAlone}).pin == PinReason::kLoad);
  ties.Discarded();
  const auto done = ties.AfterBatch({}, {.relaying = &kAlone});
  CHECK(done.pin == PinReason::kLoad);
  CHECK_FALSE(done.unpinned);
}

TEST_CASE("what failed with its transaction ties nothing", "[routing][ties]") {
  const auto [pin, left] = GENERATE(table<PinReason, PinReason>({{PinReason::kTemporaryTable, PinReason::kNone},
                                                                 {PinReason::kListen, PinReason::kNone},
                                                                 {PinReason::kAdvisoryLock, PinReason::kAdvisoryLock}}));
  Ties ties;
  CHECK(ties.AfterBatch({.pin = pin, .failed = true}, {.relaying = &kAlone}).pin == left);
}

TEST_CASE("an audit is due once the session may be let go, and not in a block", "[routing][ties]") {
  Ties ties;
  CHECK_FALSE(ties.AfterBatch({.unseen = true, .audit = true}, {.status = 'T', .relaying = &kInside}).audit);
  CHECK(ties.AfterBatch({}, {.relaying = &kInside}).audit);
  SECTION("of everything, if it may have changed unseen") { CHECK(ties.BeginAudit() == AuditScope::kEverything); }
  SECTION("which it answers: nothing is due any more") {
    (void)ties.BeginAudit();
    const auto found = ties.EndAudit(PinReason::kNone);
    CHECK(found.pin == PinReason::kNone);
    CHECK(found.state.has_value());
    CHECK_FALSE(ties.unseen());
    CHECK_FALSE(ties.AfterBatch({}, {.relaying = &kAlone}).audit);
  }
}

TEST_CASE("what an audit finds ties the session", "[routing][ties]") {
  Ties ties;
  CHECK(ties.AfterBatch({.audit = true}, {.relaying = &kPinned}).audit);
  CHECK(ties.BeginAudit() == AuditScope::kObjects);
  const auto row = AuditRow("l");
  ties.TakeAuditRow(AsBytes(row));
  const auto found = ties.EndAudit(PinReason::kListen);
  CHECK(found.pin == PinReason::kAdvisoryLock);
  CHECK_FALSE(found.failed);
  CHECK_FALSE(found.state.has_value());
  CHECK(ties.for_good() == PinReason::kNone);
}

TEST_CASE("an audit that fails leaves what was known, for good", "[routing][ties]") {
  const auto [before, after] = GENERATE(
      table<PinReason, PinReason>({{PinReason::kListen, PinReason::kListen}, {PinReason::kNone, PinReason::kUnknownState}}));
  Ties ties;
  (void)ties.BeginAudit();
  SECTION("by an error") { ties.AuditFailed(); }
  SECTION("by a row that is none of its own") { ties.TakeAuditRow(AsBytes(std::string_view("x"))); }
  const auto found = ties.EndAudit(before);
  CHECK(found.failed);
  CHECK(found.pin == after);
  CHECK(ties.for_good() == after);
}

TEST_CASE("a failed row is not forgotten by the rows behind it", "[routing][ties]") {
  Ties ties;
  (void)ties.BeginAudit();
  ties.TakeAuditRow(AsBytes(std::string_view("x")));
  const auto row = AuditRow("l");
  ties.TakeAuditRow(AsBytes(row));
  CHECK(ties.EndAudit(PinReason::kNone).failed);
}

TEST_CASE("ROLLBACK unties what only its transaction could have tied", "[routing][ties]") {
  Ties ties;
  ties.BatchBegins(true, false, PinReason::kListen);
  SECTION("in a transaction of its own") {
    CHECK(ties.RolledBack());
    CHECK(ties.AfterBatch({}, {.relaying = &kInside}).unpinned);
  }
  SECTION("not if it took what outlives the transaction") {
    ties.BatchBegins(false, false, PinReason::kAdvisoryLock);
    CHECK_FALSE(ties.RolledBack());
  }
  SECTION("nor if it was tied before") {
    ties.BatchBegins(false, true, PinReason::kNone);
    CHECK_FALSE(ties.RolledBack());
  }
}

TEST_CASE("values of sequences tie as long as somebody asks for such", "[routing][ties]") {
  const BatchEnd asked{.relaying = &kAlone, .values_asked_for = true, .values_may_pin = true};
  Ties ties;
  CHECK_FALSE(ties.MayAskForValues(false));
  const bool in_block = GENERATE(false, true);
  if (in_block) {
    auto block = asked;
    block.status = 'T';
    CHECK(ties.AfterBatch({.advances = true}, block).pin == PinReason::kNone);
    CHECK(ties.block_advanced());
  }
  CHECK(ties.AfterBatch({.advances = !in_block}, asked).pin == PinReason::kSequenceValue);
  CHECK(ties.MayAskForValues(false));
  SECTION("and then an audit says whether anything else does") {
    const Relaying tied{.decision = {}, .pin = PinReason::kSequenceValue};
    CHECK(ties.AfterBatch({}, {.relaying = &tied, .values_may_pin = true}).audit);
  }
  SECTION("nor when the server has forgotten them") {
    ties.ForgetValues();
    CHECK(ties.AfterBatch({}, asked).pin == PinReason::kNone);
  }
}

TEST_CASE("with a connection for each client nothing else matters", "[routing][ties]") {
  Ties ties;
  const auto done = ties.AfterBatch({.unlisted = true}, {.relaying = &kAlone, .mode = PoolMode::kSession});
  CHECK(done.pin == PinReason::kSessionMode);
  CHECK(ties.for_good() == PinReason::kNone);
}

}  // namespace waypost
