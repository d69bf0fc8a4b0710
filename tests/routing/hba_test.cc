#include "routing/hba.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

using Answer = Hba::Answer;

// host "ADDRESS", user, database, encrypted
Answer Ask(const std::string& file, const char* address, const char* user, const char* database, bool encrypted = false) {
  const auto hba = Hba::Read(file);
  INFO(file);
  REQUIRE(hba);
  return hba->Find({database, user, ReadIp(address), encrypted}).answer;
}

// By a Unix socket.
Hba::Verdict AskLocal(const std::string& file, const char* user, const char* database) {
  const auto hba = Hba::Read(file);
  INFO(file);
  REQUIRE(hba);
  return hba->Find({database, user, std::nullopt, false, true});
}

Answer Ask(const std::string& file) { return Ask(file, "10.1.2.3", "u", "d"); }

std::string FaultOf(const std::string& file) {
  const auto hba = Hba::Read(file);
  INFO(file);
  REQUIRE_FALSE(hba);
  return hba.error();
}

}  // namespace

TEST_CASE("the first entry that matches decides", "[routing][hba]") {
  const std::string file =
      "# who may come in\n"
      "local all all peer\n"
      "host all bad 0.0.0.0/0 reject\n"
      "host shop,\"all\" u, v 10.0.0.0 255.0.0.0 scram-sha-256 # behind it\n"
      "hostssl sameuser all all scram-sha-256\n"
      "hostnossl plain all ::/0 md5\n"
      "host replication all all scram-sha-256\n";
  CHECK(Ask(file, "10.9.9.9", "u", "shop") == Answer::kScram);
  CHECK(Ask(file, "10.9.9.9", "v", "all") == Answer::kScram);
  CHECK(Ask(file, "10.9.9.9", "v", "other") == Answer::kNoEntry);
  CHECK(Ask(file, "11.9.9.9", "u", "shop") == Answer::kNoEntry);
  CHECK(Ask(file, "10.9.9.9", "bad", "shop") == Answer::kReject);
  CHECK(Ask(file, "::1", "bad", "bad", true) == Answer::kScram);
  CHECK(Ask(file, "::1", "w", "w", false) == Answer::kNoEntry);
  CHECK(Ask(file, "::1", "w", "plain", false) == Answer::kScram);
  CHECK(Ask(file, "::1", "w", "plain", true) == Answer::kNoEntry);
  CHECK(Ask(file, "192.0.2.1", "w", "plain", false) == Answer::kNoEntry);
  CHECK(Ask(file, "10.9.9.9", "x", "replication") == Answer::kNoEntry);
  CHECK(Ask("") == Answer::kNoEntry);
}

TEST_CASE("words are quoted, listed and continued as in PostgreSQL", "[routing][hba]") {
  CHECK(Ask("host d u all scram-sha-256") == Answer::kScram);
  CHECK(Ask("host\td\tu\tall\tscram-sha-256\r\n") == Answer::kScram);
  CHECK(Ask("host \\\n d u \\\r\n all scram-sha-256") == Answer::kScram);
  CHECK(Ask("\"host\" \"d\" \"u\" all \"scram-sha-256\"") == Answer::kScram);
  CHECK(Ask("host x,d , u all scram-sha-256") == Answer::kScram);
  CHECK(FaultOf("host a\"b c\"#d u all reject\n") == "1: found the end of the line, expected a user");
  CHECK(Ask("host \"all\" u all scram-sha-256") == Answer::kNoEntry);
  CHECK(Ask("host all \"all\" all scram-sha-256") == Answer::kNoEntry);
  CHECK(Ask("host \"say \"\"d\"\", x\",d u all scram-sha-256") == Answer::kScram);
  CHECK(Ask("host \"say \"\"d\"\"\" u all scram-sha-256", "10.1.2.3", "u", "say \"d\"") == Answer::kScram);
  CHECK(Ask("host \"replication\" all all scram-sha-256", "10.1.2.3", "u", "replication") == Answer::kScram);
  CHECK(Ask("host all all 10.1.2.3/32 scram-sha-256") == Answer::kScram);
  CHECK(Ask("host all all 10.1.2.77/24 scram-sha-256") == Answer::kScram);
  CHECK(Ask("host all all 10.1.2.3 255.255.255.255 scram-sha-256") == Answer::kScram);
  CHECK(Ask("hostnogssenc all all all scram-sha-256") == Answer::kScram);
}

TEST_CASE("who comes from an unknown address matches only entries for all", "[routing][hba]") {
  const auto hba = Hba::Read("host all all 0.0.0.0/0 scram-sha-256\nhost all all all reject");
  REQUIRE(hba);
  CHECK(hba->Find({"d", "u", std::nullopt, false}).answer == Answer::kReject);
}

TEST_CASE("lines of type local are for Unix sockets alone, and these for them", "[routing][hba]") {
  const std::string file =
      "host all all all scram-sha-256\n"
      "local d u peer map=staff\n"
      "local d v ident\n"
      "local d w trust\n"
      "local all x md5\n"
      "local all bad reject\n";
  CHECK(AskLocal(file, "u", "d") == Hba::Verdict{Answer::kPeer, "staff"});
  CHECK(AskLocal(file, "v", "d") == Hba::Verdict{Answer::kPeer, ""});
  CHECK(AskLocal(file, "w", "d").answer == Answer::kTrust);
  CHECK(AskLocal(file, "x", "e").answer == Answer::kScram);
  CHECK(AskLocal(file, "bad", "d").answer == Answer::kReject);
  CHECK(AskLocal(file, "u", "e").answer == Answer::kNoEntry);
  CHECK(Ask(file, "10.1.2.3", "bad", "d") == Answer::kScram);
}

TEST_CASE("every fault of a file of entries is named, with its line", "[routing][hba]") {
  CHECK(FaultOf("# x\nhots all all all reject\nhost all all all trust") ==
        "2: found the type \"hots\", expected local, host, hostssl or hostnossl\n"
        "3: found the method trust, expected scram-sha-256 or reject: only local lines may have it");
  CHECK(FaultOf("host all all all ldap") ==
        "1: found the method ldap, expected scram-sha-256 or reject: Waypost logs in to the servers by what a client proves");
  CHECK(FaultOf("host all all all peer").ends_with("expected scram-sha-256 or reject: only local lines may have it"));
  CHECK(FaultOf("local all all").starts_with("1: found the end of the line, expected a method"));
  CHECK(FaultOf("local all all 10.0.0.0/8 trust")
            .starts_with("1: found the method \"10.0.0.0/8\", expected scram-sha-256, peer, trust or reject"));
  CHECK(FaultOf("local all all peer map=").starts_with("1: found the option \"map=\", expected map= and the name of a map"));
  CHECK(FaultOf("local all all trust map=m").starts_with("1: found the option \"map=m\", expected the end of the line"));
  CHECK(FaultOf("\\\n\\\nhost all").starts_with("1: found the end of the line, expected a user"));
  CHECK(FaultOf("host").starts_with("1: found the end of the line, expected a database"));
  CHECK(FaultOf("host all all").starts_with("1: found the end of the line, expected an address"));
  CHECK(FaultOf("host all all all").starts_with("1: found the end of the line, expected a method"));
  CHECK(FaultOf("host all all 10.0.0.1 reject").starts_with("1: found \"reject\", expected a mask of \"10.0.0.1\""));
  CHECK(FaultOf("host all all 10.0.0.1").starts_with("1: found the end of the line, expected a mask"));
  CHECK(FaultOf("host all all 10.0.0.1 255.0.255.0 reject").starts_with("1: found \"255.0.255.0\", expected a mask"));
  CHECK(FaultOf("host all all 10.0.0.1/33 reject").starts_with("1: found \"10.0.0.1/33\", expected an address and its bits"));
  CHECK(FaultOf("host all all db.example.com reject").starts_with("1: found the host name \"db.example.com\""));
  CHECK(FaultOf("host all all samenet reject").starts_with("1: found samenet"));
  CHECK(FaultOf("host samerole all all reject").starts_with("1: found samerole"));
  CHECK(FaultOf("host /^d all all reject").starts_with("1: found \"/^d\""));
  CHECK(FaultOf("host all +staff all reject").starts_with("1: found \"+staff\""));
  CHECK(FaultOf("host all @staff all reject").starts_with("1: found \"@staff\""));
  CHECK(FaultOf("include other.conf").starts_with("1: found include"));
  CHECK(FaultOf("hostgssenc all all all reject").starts_with("1: found hostgssenc"));
  CHECK(FaultOf("host all all all nonsense").starts_with("1: found the method \"nonsense\", expected scram-sha-256 or reject"));
  CHECK(FaultOf("host all all all scram-sha-256 clientcert=verify-ca")
            .ends_with("expected the end of the line: this method has no options but of hostssl lines"));
  CHECK(FaultOf("host all all all cert").ends_with("expected scram-sha-256 or reject: only hostssl lines may have it"));
  CHECK(FaultOf("hostnossl all all all cert").ends_with("only hostssl lines may have it"));
  CHECK(FaultOf("hostssl all all all cert clientcert=verify-ca").starts_with("1: found the option \"clientcert=verify-ca\""));
  CHECK(FaultOf("hostssl all all all cert clientname=cn").starts_with("1: found the option \"clientname=cn\""));
  CHECK(FaultOf("hostssl all all all scram-sha-256 map=m").starts_with("1: found the option \"map=m\""));
  CHECK(FaultOf("hostssl all all all scram-sha-256 clientcert=1").starts_with("1: found the option \"clientcert=1\""));
  CHECK(FaultOf("hostssl all all all ldap").starts_with("1: found the method ldap, expected scram-sha-256, cert or reject"));
}

TEST_CASE("hostssl lines ask for certificates, of whoever or of the user", "[routing][hba]") {
  using Certificate = Hba::Certificate;
  const auto of = [](const std::string& line) {
    const auto hba = Hba::Read("hostssl all all all " + line);
    REQUIRE(hba);
    return hba->Find({"d", "u", std::nullopt, true});
  };
  CHECK(of("cert") == Hba::Verdict{Answer::kCert, "", Certificate::kOfUser, false});
  CHECK(of("cert map=m clientname=DN clientcert=verify-full") == Hba::Verdict{Answer::kCert, "m", Certificate::kOfUser, true});
  CHECK(of("cert clientname=DN clientname=CN") == Hba::Verdict{Answer::kCert, "", Certificate::kOfUser, false});
  CHECK(of("scram-sha-256 clientcert=verify-ca") == Hba::Verdict{Answer::kScram, "", Certificate::kValid, false});
  CHECK(of("scram-sha-256 clientcert=verify-full clientname=DN") == Hba::Verdict{Answer::kScram, "", Certificate::kOfUser, true});
  CHECK(of("reject clientcert=verify-ca") == Hba::Verdict{Answer::kReject, "", Certificate::kValid, false});
  CHECK(of("scram-sha-256") == Hba::Verdict{Answer::kScram});
  CHECK(Hba::Read("host all all all scram-sha-256\nhostssl all all all cert")->AsksForCertificates());
  CHECK_FALSE(Hba::Read("hostssl all all all scram-sha-256")->AsksForCertificates());
}

TEST_CASE("who is not let in hears PostgreSQL's words", "[routing][hba]") {
  const HbaQuestion question{"d", "u", std::nullopt, false};
  CHECK(HbaRefusal(Answer::kNoEntry, question, "10.0.0.1") ==
        "no pg_hba.conf entry for host \"10.0.0.1\", user \"u\", database \"d\", no encryption");
  CHECK(HbaRefusal(Answer::kReject, {"d", "u", std::nullopt, true}, "::1") ==
        "pg_hba.conf rejects connection for host \"::1\", user \"u\", database \"d\", SSL encryption");
}

}  // namespace waypost
