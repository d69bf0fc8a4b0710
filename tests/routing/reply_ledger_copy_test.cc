// What may follow a COPY FROM STDIN that fails, as seen on PostgreSQL 15.
#include <catch2/catch.hpp>
#include <string_view>

#include "routing/reply_ledger.h"

namespace waypost {
namespace {

void Send(Ledger& ledger, std::string_view types) {
  for (const char type : types) (void)ledger.Sent(type, Reply::kForward);
}

void Receive(Ledger& ledger, std::string_view types) {
  for (const char type : types) (void)ledger.OnReply(type);
}

}  // namespace

TEST_CASE("a Query sent into a COPY that failed meanwhile is still owed its answer",
          "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "Q");
  Receive(ledger, "G");
  Send(ledger, "dQ");
  Receive(ledger, "EZ");
  CHECK_FALSE(ledger.Idle());
  Receive(ledger, "TDCZ");
  CHECK(ledger.Idle());
  CHECK_FALSE(ledger.Confused());
}

TEST_CASE("a Query sent ahead of the answer to a COPY is still owed its answer",
          "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "QdQ");
  Receive(ledger, "GEZ");
  CHECK_FALSE(ledger.Idle());
  Receive(ledger, "TDCZ");
  CHECK(ledger.Idle());
}

TEST_CASE("a Sync between copy data and an error gives the connection up",
          "[routing][reply_ledger]") {
  // The server ignores the Sync in a COPY, but answers it if the COPY has failed: one ReadyForQuery
  // too many.
  const auto* const late = GENERATE("dSc", "dSf", "dS");
  Ledger ledger;
  Send(ledger, "Q");
  Receive(ledger, "G");
  Send(ledger, late);
  Receive(ledger, "EZ");
  CHECK(ledger.Confused());
}

TEST_CASE("a Sync ahead of the copy data is ignored for sure", "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "PBES");
  Receive(ledger, "12G");
  CHECK(ledger.CopyIn());
  Send(ledger, "dcS");
  const auto* const end = GENERATE("CZ", "EZ");
  Receive(ledger, end);
  CHECK(ledger.Idle());
  CHECK_FALSE(ledger.Confused());
}

TEST_CASE("a server that ends a COPY by itself without an error is not trusted",
          "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "PBE");
  Receive(ledger, "12GC");
  CHECK(ledger.Confused());
  Send(ledger, "QPS");  // and does no harm
}

}  // namespace waypost
