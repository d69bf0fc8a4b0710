#include "parser/sql/fingerprint.h"

#include <catch2/catch.hpp>
#include <string>

using namespace waypost;

TEST_CASE("texts that differ in constants, blanks and comments alone have one fingerprint", "[parser][fingerprint]") {
  const auto one = Fingerprint("SELECT * FROM ofUser WHERE username = 'a'");
  REQUIRE(one);
  CHECK(one == Fingerprint("select  *\nfrom OFUSER where username = $1 /* hello */"));
  CHECK(Fingerprint("SELECT 1 WHERE a IN (1, 2)") == Fingerprint("SELECT 1 WHERE a IN (1, 2, 3)"));
  CHECK(one != Fingerprint("SELECT * FROM ofUser WHERE name = 'a'"));
  CHECK(one != Fingerprint("SELECT * FROM ofUser WHERE username = 'a'; SELECT 1"));
}

TEST_CASE("a fingerprint is the one that other programs show", "[parser][fingerprint]") {
  // From the tests of libpg_query 15.
  CHECK(FingerprintText(Fingerprint("SELECT 1").value()) == "50fde20626009aba");
}

TEST_CASE("what cannot be parsed has no fingerprint", "[parser][fingerprint]") {
  CHECK_FALSE(Fingerprint("SELEC"));
  CHECK_FALSE(Fingerprint(std::string_view("SELECT 1\0", 9)));
  CHECK_FALSE(Fingerprint("SELECT '" + std::string(kMaxFingerprintBytes, 'x') + "'"));
}

TEST_CASE("deep and wide texts end in time", "[parser][fingerprint]") {
  std::string deep = "SELECT 1";
  for (int i = 0; i < 7'000; ++i) deep += "+1";
  CHECK(Fingerprint(deep));
  std::string nested;
  for (int i = 0; i < 700; ++i) nested += "SELECT * FROM (";
  nested += "SELECT 1";
  for (int i = 0; i < 700; ++i) nested += ") x";
  CHECK(Fingerprint(nested));
}

TEST_CASE("fingerprints are written and read as 16 hexadecimal digits", "[parser][fingerprint]") {
  CHECK(FingerprintText(0x1F) == "000000000000001f");
  CHECK(ParseFingerprint("000000000000001f") == 0x1F);
  CHECK(ParseFingerprint("FFFFFFFFFFFFFFFF") == ~std::uint64_t{0});
  CHECK_FALSE(ParseFingerprint("1f"));
  CHECK_FALSE(ParseFingerprint("00000000000000xx"));
  CHECK_FALSE(ParseFingerprint("-000000000000001"));
}
