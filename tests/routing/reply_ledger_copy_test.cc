// COPY FROM STDIN: how it runs, and what may follow one that fails, as seen on PostgreSQL 15.
#include <catch2/catch.hpp>
#include <string_view>
#include <tuple>

#include "routing/reply_ledger.h"
#include "tests/support/ledger_script.h"

namespace waypost {
namespace {

void Send(Ledger& ledger, std::string_view types) {
  for (const char type : types) (void)ledger.Sent(type, Reply::kForward);
}

void Receive(Ledger& ledger, std::string_view types) {
  for (const char type : types) (void)ledger.OnReply(type);
}

}  // namespace

TEST_CASE("COPY by a Query takes data until the client ends it", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("Q");
  CHECK(talk.Receive("G") == "Q");
  CHECK(talk.ledger.CopyIn());
  CHECK_FALSE(talk.ledger.Idle());
  talk.Send("dddHd");
  CHECK(talk.ledger.CopyIn());
  SECTION("well") {
    talk.Send("c");
    CHECK_FALSE(talk.ledger.CopyIn());
    CHECK_FALSE(talk.ledger.Idle());
    CHECK(talk.Receive("CZ") == "QQ.");
  }
  SECTION("badly") {
    talk.Send("f");
    CHECK_FALSE(talk.ledger.CopyIn());
    CHECK(talk.Receive("EZ") == "QQ.");
  }
  SECTION("and the next statement of the Query follows") {
    talk.Send("c");
    CHECK(talk.Receive("CTDCZ") == "QQQQQ.");
  }
  SECTION("and the next statement is a COPY too") {
    talk.Send("c");
    CHECK(talk.Receive("CG") == "QQ");
    CHECK(talk.ledger.CopyIn());
    talk.Send("dc");
    CHECK(talk.Receive("CZ") == "QQ.");
  }
  SECTION("or the server does") {
    CHECK(talk.Receive("EZ") == "QQ.");
    CHECK(talk.ledger.Idle());
    talk.Send("ddc");  // under way already: ignored
  }
  CHECK(talk.ledger.Idle());
  CHECK_FALSE(talk.ledger.Confused());
}

TEST_CASE("COPY by an Execute takes two Syncs and gives one ReadyForQuery", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("PBDES");
  CHECK(talk.ledger.ReadyForQueryDue() == 1);
  CHECK(talk.Receive("12nG") == "P.B.D.E");
  CHECK(talk.ledger.ReadyForQueryDue() == 0);  // ignored: the server is in the COPY
  CHECK(talk.ledger.CopyIn());
  CHECK(talk.ledger.WantsMore());
  talk.Send("SSd");
  CHECK(talk.ledger.ReadyForQueryDue() == 0);
  talk.Send("c");
  CHECK(talk.Receive("C") == "E.");
  CHECK_FALSE(talk.ledger.Idle());
  talk.Send("S");
  CHECK(talk.Receive("Z") == "S.");
  CHECK(talk.ledger.Idle());
  CHECK_FALSE(talk.ledger.Confused());
}

TEST_CASE("a COPY by an Execute that fails skips to the Sync", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("PBE");
  CHECK(talk.Receive("12G") == "P.B.E");
  SECTION("ended by the client") { talk.Send("df"); }
  SECTION("ended by the server") { talk.Send("dd"); }
  CHECK(talk.Receive("E") == "E.");
  CHECK_FALSE(talk.ledger.CopyIn());
  CHECK_FALSE(talk.ledger.Idle());
  talk.Send("dcQPS");
  CHECK(talk.ledger.ReadyForQueryDue() == 1);
  CHECK(talk.Receive("Z") == "S.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("a whole COPY may be sent before the server answers", "[routing][reply_ledger]") {
  using Row = std::tuple<const char*, const char*, const char*>;
  const auto [sent, replies, owners] = GENERATE(table<const char*, const char*, const char*>(
      {Row{"Qddc", "GCZ", "QQQ."}, Row{"Qddf", "GEZ", "QQQ."}, Row{"QdcQ", "GCZTDCZ", "QQQ.QQQQ."},
       Row{"PBESddcS", "12GCZ", "P.B.EE.S."},  // the first Sync is ignored
       Row{"PBEddcS", "12GCZ", "P.B.EE.S."},   // without it
       Row{"PBESdfS", "12GEZ", "P.B.EE.S."}, Row{"PBESdcS", "EZZ", "P.S.S."},  // no COPY: both Syncs count, the data does not
       Row{"PBESdcS", "1EZZ", "P.B.S.S."}, Row{"PBEdcS", "12EZ", "P.B.E.S."}, Row{"Qdc", "EZ", "QQ."},
       Row{"QdcS", "EZZ", "QQ.S."}, Row{"Qdc", "TDCZ", "QQQQ."}}));  // it was no COPY at all
  CAPTURE(sent, replies);
  Conversation talk;
  talk.Send(sent);
  CHECK(talk.Receive(replies) == owners);
  CHECK(talk.ledger.Idle());
  CHECK_FALSE(talk.ledger.Confused());
}

TEST_CASE("copy data outside a COPY has no answer", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("ddcf");
  CHECK(talk.ledger.Idle());
  CHECK(talk.ledger.NextSequence() == 1);
  talk.Send("dcQcPfS");
  CHECK(talk.Receive("CZ1Z") == "QQ.P.S.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("COPY in both directions ends by both", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("Q");
  CHECK(talk.Receive("W") == "Q");
  CHECK(talk.ledger.CopyIn());
  talk.Send("dc");
  CHECK(talk.Receive("dcCZ") == "QQQQ.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("a Query sent into a COPY that failed meanwhile is still owed its answer", "[routing][reply_ledger]") {
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

TEST_CASE("a Query sent ahead of the answer to a COPY is still owed its answer", "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "QdQ");
  Receive(ledger, "GEZ");
  CHECK_FALSE(ledger.Idle());
  Receive(ledger, "TDCZ");
  CHECK(ledger.Idle());
}

TEST_CASE("a Sync between copy data and an error gives the connection up", "[routing][reply_ledger]") {
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

TEST_CASE("a server that ends a COPY by itself without an error is not trusted", "[routing][reply_ledger]") {
  Ledger ledger;
  Send(ledger, "PBE");
  Receive(ledger, "12GC");
  CHECK(ledger.Confused());
  Send(ledger, "QPS");  // and does no harm
}

}  // namespace waypost
