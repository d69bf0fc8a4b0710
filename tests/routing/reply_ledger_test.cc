// What PostgreSQL 15 answers to what, COPY apart (reply_ledger_copy_test.cc).
#include "routing/reply_ledger.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

#include "tests/support/ledger_script.h"

namespace waypost {

TEST_CASE("nothing is due before anything was sent", "[routing][reply_ledger]") {
  const Ledger ledger;
  CHECK(ledger.Idle());
  CHECK(ledger.ReadyForQueryDue() == 0);
  CHECK_FALSE(ledger.WantsMore());
  CHECK_FALSE(ledger.CopyIn());
  CHECK_FALSE(ledger.Swallowing());
  CHECK_FALSE(ledger.Confused());
}

TEST_CASE("a batch that succeeds is answered message by message", "[routing][reply_ledger]") {
  using Row = std::tuple<const char*, const char*, const char*>;
  const auto [sent, replies, owners] = GENERATE(
      table<const char*, const char*, const char*>({Row{"Q", "TDDCZ", "QQQQQ."},                // one statement
                                                    Row{"Q", "TDCTDCZ", "QQQQQQQ."},            // two
                                                    Row{"Q", "CZ", "QQ."},                      // without rows
                                                    Row{"Q", "IZ", "QQ."},                      // without a statement
                                                    Row{"Q", "HddcCZ", "QQQQQQ."},              // COPY TO STDOUT
                                                    Row{"Q", "TDEZ", "QQQQ."},                  // fails behind a row
                                                    Row{"PBDES", "12TDCZ", "P.B.D.EE.S."},      // the usual series
                                                    Row{"PDS", "1tTZ", "P.DD.S."},  // Describe of a statement with rows
                                                    Row{"PDS", "1tnZ", "P.DD.S."},  // ... and without
                                                    Row{"BES", "2IZ", "B.E.S."},  // no statement
                                                    Row{"BES", "2DDsZ", "B.EEE.S."},  // a row limit
                                                    Row{"ES", "DCZ", "EE.S."},  // the rest of the rows
                                                    Row{"BES", "2HddcCZ", "B.EEEEE.S."},  // COPY TO STDOUT
                                                    Row{"PBEBES", "12C2DCZ", "P.B.E.B.EE.S."},  // two executions
                                                    Row{"CCS", "33Z", "C.C.S."},  // Close twice
                                                    Row{"S", "Z", "S."},
                                                    Row{"SSS", "ZZZ", "S.S.S."},  // Sync alone
                                                    Row{"CQ", "3TDCZ", "C.QQQQ."},  // Close, then a Query without Sync
                                                    Row{"PBEQ", "12CTDCZ", "P.B.E.QQQQ."},  // a series, then a Query without Sync
                                                    Row{"F", "VZ", "FF."},  // FunctionCall
                                                    Row{"F", "EZ", "FF."},  // ... that fails
                                                    Row{"PHBHES", "12CZ", "P.B.E.S."},  // Flush has no answer
                                                    Row{"PBESPBESQ", "12CZ12CZTDCZ", "P.B.E.S.P.B.E.S.QQQQ."}}));
  CAPTURE(sent, replies);
  Conversation talk;
  talk.Send(sent);
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.Receive(replies) == owners);
  CHECK(talk.ledger.Idle());
  CHECK(talk.ledger.ReadyForQueryDue() == 0);
  CHECK_FALSE(talk.ledger.Confused());
}

TEST_CASE("after an error all up to the next Sync is skipped", "[routing][reply_ledger]") {
  using Row = std::tuple<const char*, const char*, const char*>;
  const auto [sent, replies, owners] = GENERATE(table<const char*, const char*, const char*>(
      {Row{"PBDES", "EZ", "P.S."}, Row{"PBDES", "1EZ", "P.B.S."}, Row{"PBDES", "12EZ", "P.B.D.S."},
       Row{"PBDES", "12TEZ", "P.B.D.E.S."}, Row{"PBDES", "12TDEZ", "P.B.D.EE.S."}, Row{"PDS", "1tEZ", "P.DD.S."},
       Row{"PBES", "12CEZ", "P.B.E.SS."},  // the commit itself fails
       Row{"PBESPBES", "1EZ12CZ", "P.B.S.P.B.E.S."},  // the next series is not touched
       Row{"PQPBES", "EZ", "P.S."},  // the Query has no answer either
       Row{"PFPQS", "EZ", "P.S."}, Row{"PBEQPBES", "12CTDCZ12CZ", "P.B.E.QQQQ.P.B.E.S."}, Row{"PBEQPBES", "EZ", "P.S."},
       Row{"PcBS", "EZ", "P.S."}}));
  CAPTURE(sent, replies);
  Conversation talk;
  talk.Send(sent);
  CHECK(talk.Receive(replies) == owners);
  CHECK(talk.ledger.Idle());
  CHECK_FALSE(talk.ledger.Confused());
}

TEST_CASE("a failed Parse swallows a Query that has no Sync before it", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("PQ");
  CHECK(talk.ledger.ReadyForQueryDue() == 1);
  CHECK(talk.Receive("E") == "P.");
  CHECK(talk.ledger.ReadyForQueryDue() == 0);
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.ledger.WantsMore());
  SECTION("and all that is sent until the Sync") {
    for (const char type : {'Q', 'P', 'B', 'E', 'C', 'D', 'F', 'H'}) CHECK(talk.ledger.Sent(type, Reply::kForward) == 0);
    CHECK(talk.ledger.ReadyForQueryDue() == 0);
    CHECK_FALSE(talk.ledger.Idle());
  }
  talk.Send("SQ");
  CHECK(talk.Receive("ZTDCZ") == "S.QQQQ.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("a series without its Sync keeps the connection", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("PBEH");
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.Receive("12C") == "P.B.E.");
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.ledger.WantsMore());
  SECTION("until the Sync is answered") {
    talk.Send("S");
    CHECK_FALSE(talk.ledger.WantsMore());
    CHECK_FALSE(talk.ledger.Idle());
    CHECK(talk.Receive("Z") == "S.");
  }
  SECTION("until a Query is answered") {
    talk.Send("Q");
    CHECK(talk.Receive("CZ") == "QQ.");
  }
  CHECK(talk.ledger.Idle());
}

TEST_CASE("a series opened behind a Sync outlives its answer", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("PSB");
  CHECK(talk.Receive("1Z") == "P.S.");
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.Receive("2") == "B.");
  CHECK_FALSE(talk.ledger.Idle());
  CHECK(talk.ledger.WantsMore());
}

TEST_CASE("each Sync, Query and FunctionCall is owed one ReadyForQuery", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("QPSFS");
  CHECK(talk.ledger.ReadyForQueryDue() == 4);
  CHECK(talk.Receive("CZ") == "QQ.");
  CHECK(talk.ledger.ReadyForQueryDue() == 3);
  CHECK(talk.Receive("1Z") == "P.S.");
  CHECK(talk.ledger.ReadyForQueryDue() == 2);
  CHECK(talk.Receive("EZ") == "FF.");
  CHECK(talk.Receive("Z") == "S.");
  CHECK(talk.ledger.ReadyForQueryDue() == 0);
  CHECK(talk.ledger.Idle());
}

TEST_CASE("what the server says unasked answers nothing", "[routing][reply_ledger]") {
  const char unasked = GENERATE('N', 'S', 'A');
  CAPTURE(unasked);
  Conversation talk;
  const std::string text(1, unasked);
  CHECK(talk.Receive(text) == "-");
  talk.Send("PBES");
  CHECK(talk.Receive("1" + text + "2" + text + text + "C" + text + "Z" + text) == "P.-B.--E.-S.-");
  CHECK(talk.ledger.Idle());
  SECTION("not even while our own answers are thrown away") {
    talk.SendOurs("Q");
    const auto answer = talk.ledger.OnReply(unasked);
    CHECK(answer.reply == Reply::kForward);
    CHECK(answer.entry == 0);
    CHECK(talk.Receive("CZ") == "qq.");
  }
}

TEST_CASE("an error that nothing was sent for answers nothing", "[routing][reply_ledger]") {
  // FATAL: terminating connection due to administrator command
  Conversation talk;
  CHECK(talk.Receive("E") == "-");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("answers to our own messages are swallowed", "[routing][reply_ledger]") {
  Conversation talk;
  talk.SendOurs("Q");
  talk.Send("Q");
  CHECK(talk.ledger.Swallowing());
  CHECK(talk.Receive("CCZ") == "qqq.");
  CHECK_FALSE(talk.ledger.Swallowing());
  CHECK(talk.Receive("TDCZ") == "QQQQ.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("an error of our Query is swallowed and touches nothing else", "[routing][reply_ledger]") {
  Conversation talk;
  talk.SendOurs("Q");
  talk.Send("PBES");
  CHECK(talk.Receive("EZ12CZ") == "qq.P.B.E.S.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("an error of a Parse that we sent ahead is the client's", "[routing][reply_ledger]") {
  Conversation talk;
  talk.SendOurs("P");
  talk.Send("BES");
  SECTION("it succeeds") { CHECK(talk.Receive("12CZ") == "p.B.E.S."); }
  SECTION("it fails") { CHECK(talk.Receive("EZ") == "P.S."); }
  CHECK(talk.ledger.Idle());
}

TEST_CASE("what we answer ourselves has its turn between the others", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("P");
  talk.Answer("P");
  talk.Send("B");
  talk.Answer("CC");
  talk.Send("S");
  CHECK(talk.OurTurn().empty());
  CHECK(talk.Receive("1") == "P.");
  CHECK(talk.OurTurn() == "P");
  CHECK(talk.OurTurn().empty());
  CHECK(talk.Receive("2") == "B.");
  CHECK(talk.OurTurn() == "CC");
  CHECK(talk.Receive("Z") == "S.");
  CHECK(talk.OurTurn().empty());
  CHECK(talk.ledger.Idle());
}

TEST_CASE("what we would have answered is skipped after an error too", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Send("B");
  talk.Answer("P");
  SECTION("sent before the error") {
    talk.Send("S");
    CHECK(talk.Receive("E") == "B.");
  }
  SECTION("sent behind it") {
    CHECK(talk.Receive("E") == "B.");
    CHECK(talk.ledger.Sent('C', Reply::kSynthesise) == 0);
    talk.Send("S");
  }
  CHECK(talk.OurTurn().empty());
  CHECK(talk.Receive("Z") == "S.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("entries are numbered as they are sent", "[routing][reply_ledger]") {
  Ledger ledger;
  CHECK(ledger.NextSequence() == 1);
  CHECK(ledger.Sent('P', Reply::kForward) == 1);
  CHECK(ledger.Sent('H', Reply::kForward) == 0);
  CHECK(ledger.Sent('X', Reply::kForward) == 0);
  CHECK(ledger.Sent('C', Reply::kSynthesise) == 2);
  CHECK(ledger.Sent('S', Reply::kForward) == 3);
  CHECK(ledger.NextSequence() == 4);
  CHECK(ledger.OnReply('1').sequence == 1);
  char type = 0;
  std::uint64_t sequence = 0;
  REQUIRE(ledger.TakeSynthesised(type, sequence));
  CHECK(sequence == 2);
  CHECK(ledger.OnReply('Z').sequence == 3);
  CHECK(ledger.Sent('Q', Reply::kForward) == 4);
}

TEST_CASE("a pipeline that never runs empty keeps its count", "[routing][reply_ledger]") {
  Ledger ledger;
  std::uint64_t sent = 0;
  for (int i = 0; i < 700; ++i) sent = ledger.Sent('P', Reply::kForward);
  for (std::uint64_t due = 1; due <= 5000; ++due) {
    REQUIRE(ledger.OnReply('1').sequence == due);
    sent = ledger.Sent('P', Reply::kForward);
    REQUIRE(sent == due + 700);
  }
  CHECK(ledger.Sent('S', Reply::kForward) == sent + 1);
  for (int i = 0; i < 700; ++i) REQUIRE(ledger.OnReply('1').completes);
  CHECK(ledger.OnReply('Z').sequence == sent + 1);
  CHECK(ledger.Idle());
}

TEST_CASE("an error of what is only tried is nobody's, and skips no more than its own series", "[routing][reply_ledger]") {
  Conversation talk;
  talk.Try("P");
  talk.SendOurs("DS");
  CHECK(talk.ledger.Swallowing());
  talk.Send("PBES");
  CHECK(talk.Receive("EZ") == "p.s.");
  CHECK_FALSE(talk.ledger.Skipping());
  CHECK(talk.Receive("12CZ") == "P.B.E.S.");
  talk.Try("P");
  talk.SendOurs("DS");
  CHECK(talk.Receive("1tTZ") == "p.dd.s.");
  CHECK(talk.ledger.Idle());
}

TEST_CASE("a reply that was not asked for is not trusted", "[routing][reply_ledger]") {
  using Row = std::tuple<const char*, const char*>;
  const auto [sent, replies] = GENERATE(table<const char*, const char*>(
      {Row{"", "Z"},    Row{"", "D"},        Row{"", "1"},       Row{"", "C"},    Row{"", "G"},     Row{"P", "2"},
       Row{"P", "Z"},   Row{"P", "D"},       Row{"P", "C"},      Row{"B", "1"},   Row{"C", "C"},    Row{"D", "D"},
       Row{"D", "C"},   Row{"E", "T"},       Row{"E", "Z"},      Row{"E", "n"},   Row{"Q", "1"},    Row{"Q", "t"},
       Row{"Q", "s"},   Row{"Q", "V"},       Row{"F", "C"},      Row{"F", "D"},   Row{"S", "1"},    Row{"S", "C"},
       Row{"PS", "1D"}, Row{"PBES", "12CC"}, Row{"PBES", "12Z"}, Row{"Q", "CZZ"}, Row{"PS", "EZZ"}, Row{"P", "E1"},
       Row{"P", "EZ"},  Row{"Q", "R"},       Row{"Q", "K"},      Row{"Q", "v"},   Row{"Q", "\x7F"}, Row{"Q", "\xFF"}}));
  CAPTURE(sent, replies);
  Conversation talk;
  talk.Send(sent);
  CHECK(talk.Receive(replies).back() == '?');
  SECTION("and whatever comes then does no harm") {
    talk.Send("QPBDECFSHXcdf");
    (void)talk.Receive("ZTDCE123ntsIGHWdcVZZZ");
    CHECK(talk.ledger.Confused());
  }
}

}  // namespace waypost
