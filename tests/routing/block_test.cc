#include "routing/block.h"

#include <catch2/catch.hpp>
#include <optional>

namespace waypost {
namespace {

constexpr std::optional<bool> kUnsaid{};

TransactionModes ReadOnly(bool read_only) { return {read_only, kUnsaid, kUnsaid}; }
TransactionModes Level(bool serializable, bool repeatable_read) { return {kUnsaid, serializable, repeatable_read}; }

}  // namespace

TEST_CASE("what begins a block is kept with all that names its modes", "[routing][block]") {
  Block block;
  block.Begin("BEGIN -- now", {});
  CHECK_FALSE(block.SuitsReplica({}));
  CHECK(block.SuitsReplica({.read_only = true}));
  block.Add("SET TRANSACTION READ ONLY", ReadOnly(true));
  CHECK(block.begin() == "BEGIN -- now\n;\nSET TRANSACTION READ ONLY");
  CHECK(block.IsReadOnly({}));
  CHECK(block.SuitsReplica({}));
  CHECK_FALSE(block.SuitsReplica({.serializable = true}));
  block.Add("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", Level(true, false));
  CHECK(block.IsReadOnly({}));
  CHECK_FALSE(block.SuitsReplica({}));
  block.Begin("BEGIN READ WRITE", ReadOnly(false));
  CHECK(block.begin() == "BEGIN READ WRITE");
  CHECK_FALSE(block.IsReadOnly({.read_only = true}));
  block.Begin("BEGIN READ ONLY", ReadOnly(true));
  CHECK(block.SuitsReplica({}));  // nothing is left of the level that another one had
}

TEST_CASE("a block that has begun begins anew as it did, or as a reader", "[routing][block]") {
  Block block;
  block.Begin("BEGIN READ ONLY, NOT DEFERRABLE", ReadOnly(true));
  block.BeginsAnew();
  CHECK(block.begin() == "BEGIN READ ONLY, NOT DEFERRABLE");
  block.ForgetBegin();
  CHECK(block.begin().empty());
  block.BeginsAnew();
  CHECK(block.begin() == "BEGIN READ ONLY");
}

TEST_CASE("each statement has a snapshot of its own under READ COMMITTED alone", "[routing][block]") {
  constexpr TransactionDefaults kCommitted{.read_committed = true};
  CHECK(Block::IsReadCommitted({}, kCommitted));
  CHECK_FALSE(Block::IsReadCommitted({}, {}));
  CHECK(Block::IsReadCommitted(Level(false, false), {}));
  CHECK_FALSE(Block::IsReadCommitted(Level(false, true), kCommitted));
  CHECK_FALSE(Block::IsReadCommitted(Level(true, false), kCommitted));
}

TEST_CASE("what a block reads is fixed by what was proved under REPEATABLE READ, until its server is left", "[routing][block]") {
  Block block;
  block.Begin("BEGIN", Level(false, true));
  block.Proved();
  CHECK_FALSE(block.snapshot_taken());  // it does not run as a reader
  block.ReadsOnly();
  block.SetMovable(true);
  block.Proved();
  CHECK(block.snapshot_taken());
  SECTION("it ends") {
    block.Ended();
    CHECK_FALSE(block.movable());
    CHECK_FALSE(block.reads_only());
  }
  SECTION("its server is lost, or given up") {
    block.LeftServer();
    CHECK_FALSE(block.reads_only());
  }
  SECTION("another begins behind COMMIT AND CHAIN") {
    block.Chained();
    CHECK(block.reads_only());
  }
  CHECK_FALSE(block.snapshot_taken());
  block.Begin("BEGIN", Level(false, true));
  block.ReadsOnly();
  block.MayChangeModes();
  block.Proved();
  CHECK_FALSE(block.snapshot_taken());
}

TEST_CASE("where nobody knows the level of isolation it is not READ COMMITTED, until another block begins", "[routing][block]") {
  constexpr TransactionDefaults kCommitted{.read_committed = true};
  Block block;
  CHECK(block.IsReadCommitted(kCommitted));
  block.BeginsNow(Level(false, true));
  CHECK_FALSE(block.IsReadCommitted(kCommitted));
  block.BeginsNow(ReadOnly(true));
  CHECK(block.IsReadCommitted(kCommitted));
  block.MayChangeModes();
  CHECK_FALSE(block.IsReadCommitted(kCommitted));
  block.Begin("BEGIN", ReadOnly(false));
  CHECK(block.IsReadCommitted(kCommitted));
  block.Add("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", Level(false, true));
  CHECK_FALSE(block.IsReadCommitted(kCommitted));
}

}  // namespace waypost
