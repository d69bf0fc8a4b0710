#include "parser/wire/scram.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "parser/wire/md5.h"

namespace waypost {
namespace {

// RFC 7677, section 3: user "user", password "pencil".
constexpr std::string_view kSaltRaw = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
constexpr std::string_view kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view kClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

// Computed once: each costs a millisecond.
const ScramVerifier& Pencil() {
  static const ScramVerifier verifier = MakeVerifier("pencil", kSaltRaw);
  return verifier;
}

ScramServer RfcServer() { return {Pencil(), std::string(kServerNonce)}; }

ScramCredentials Password(std::string_view password) {
  return {.password = std::string(password), .has_password = true, .keys = {}};
}

ScramCredentials Keys(const ScramKeys& keys) { return {.password = {}, .has_password = false, .keys = keys}; }

// A whole login; the fault that ended it, or nothing.
std::string Login(ScramClient client, ScramServer server, ScramKeys* learnt = nullptr) {
  const auto first = server.OnClientFirst(client.ClientFirst());
  if (!first) return first.error();
  const auto final = client.OnServerFirst(*first);
  if (!final) return final.error();
  const auto success = server.OnClientFinal(*final);
  if (!success) return success.error();
  const auto keys = client.OnServerFinal(success->server_final);
  if (!keys) return keys.error();
  if (learnt != nullptr) *learnt = success->keys;
  return {};
}

}  // namespace

TEST_CASE("the exchange of RFC 7677 is reproduced", "[parser][scram]") {
  ScramServer server = RfcServer();
  const auto first = server.OnClientFirst(kClientFirst);
  REQUIRE(first);
  CHECK(*first == kServerFirst);
  const auto success = server.OnClientFinal(kClientFinal);
  REQUIRE(success);
  CHECK(success->server_final == kServerFinal);
  CHECK(success->keys.client_key == DeriveKeys("pencil", kSaltRaw, 4096).client_key);
}

TEST_CASE("verifiers are those that PostgreSQL makes", "[parser][scram]") {
  // Made by PostgreSQL 15: CREATE ROLE x PASSWORD '...'; SELECT rolpassword FROM pg_authid.
  const auto [password, text] = GENERATE(table<std::string, std::string>({
      {"secret",
       "SCRAM-SHA-256$4096:Lqk45jCR0i8lrt427arijQ==$vzjT3O/2ySOYnQ1hnAwA/k3xpMLYg2cPsbcJ7tfsCMY=:"
       "PVJTMloSDwL+Hs6tIsr7ytermKl8ZYO/qqNv5Rv4ioM="},
      {"openfire",
       "SCRAM-SHA-256$4096:E3B/sd/CcLj5m2JSfDf6yQ==$otfI9KM27VuZ/rvPglqNgGg6Td2EMFuaP2gNVV6Z2k8=:"
       "r+uAp6AxnjR58zMt6HsgQj5SoGRSRZC5WVdIqfcjX1E="},
      {"a b,c=d",
       "SCRAM-SHA-256$4096:XuNZoNwf8HPbWN6x10bZZw==$tH/FE2KMxUG9l1Ww5ephveYZWjxxr7L6aucsnkumDS4=:"
       "ScsBw72A+6kS/K7Xp7Mqs3icwLK+5Mls0y3YjMOLip8="},
  }));
  CAPTURE(password);
  const auto parsed = ParseVerifier(text);
  REQUIRE(parsed);
  CHECK(FormatVerifier(*parsed) == text);
  CHECK(FormatVerifier(MakeVerifier(password, parsed->salt, parsed->iterations)) == text);
  CHECK(Login(ScramClient(Password(password), "abc"), ScramServer(*parsed, "def")).empty());
}

TEST_CASE("a malformed verifier is refused", "[parser][scram]") {
  const std::string good = FormatVerifier(Pencil());
  REQUIRE(ParseVerifier(good));
  SECTION("cut anywhere") {
    const auto cut = GENERATE_COPY(range<std::size_t>(0, good.size()));
    CAPTURE(cut);
    CHECK_FALSE(ParseVerifier(std::string_view(good).substr(0, cut)));
  }
  SECTION("of another form") {
    const std::string keys = good.substr(good.rfind('$'));
    const std::string text = GENERATE_COPY(
        std::string("md5a6343a68d964ca596d9752250d54bb8a"), "SCRAM-SHA-1$4096:QQ==" + keys, "SCRAM-SHA-256$0:QQ==" + keys,
        "SCRAM-SHA-256$-1:QQ==" + keys, "SCRAM-SHA-256$4096x:QQ==" + keys, "SCRAM-SHA-256$99999999999:QQ==" + keys,
        "SCRAM-SHA-256$3000000000:QQ==" + keys, "SCRAM-SHA-256$4096:" + keys, "SCRAM-SHA-256$4096:Q===" + keys,
        "SCRAM-SHA-256$4096:Q Q=" + keys, good + " ", good + "====");
    CAPTURE(text);
    CHECK_FALSE(ParseVerifier(text));
  }
}

TEST_CASE("the key learnt from a client logs in elsewhere", "[parser][scram]") {
  ScramKeys learnt;
  REQUIRE(Login(ScramClient(Password("pencil"), "c1"), RfcServer(), &learnt).empty());
  CHECK(Login(ScramClient(Keys(learnt), "c2"), RfcServer()).empty());

  SECTION("but not where the verifier is another one") {
    const auto other = GENERATE(MakeVerifier("pencil", "another salt"), MakeVerifier("pencil", kSaltRaw, 5000));
    ScramServer server(other, "s");
    ScramClient client(Keys(learnt), "c");
    const auto first = server.OnClientFirst(client.ClientFirst());
    REQUIRE(first);
    const auto final = client.OnServerFirst(*first);
    REQUIRE_FALSE(final);
    CHECK(final.fault().fault == ScramFault::kOtherVerifier);
  }
  SECTION("and a password beside it is used where the key does not fit") {
    ScramCredentials both = Keys(learnt);
    both.password = "pencil";
    both.has_password = true;
    const ScramVerifier other = MakeVerifier("pencil", "another salt");
    CHECK(Login(ScramClient(both, "c"), ScramServer(other, "s")).empty());
  }
}

TEST_CASE("a wrong password is told from a broken message", "[parser][scram]") {
  ScramServer server = RfcServer();
  ScramClient client(Password("pencils"), "abc");
  const auto first = server.OnClientFirst(client.ClientFirst());
  REQUIRE(first);
  const auto final = client.OnServerFirst(*first);
  REQUIRE(final);
  const auto success = server.OnClientFinal(*final);
  REQUIRE_FALSE(success);
  CHECK(success.fault().fault == ScramFault::kWrongPassword);
  CHECK(ScramSqlState(success.fault().fault) == "28P01");
}

TEST_CASE("an unknown user looks like one whose password is wrong", "[parser][scram]") {
  const ScramVerifier mock = MockVerifier("nobody", "a secret");
  CHECK(mock.salt.size() == kScramSaltBytes);
  CHECK(mock.salt == MockVerifier("nobody", "a secret").salt);
  CHECK(mock.salt != MockVerifier("somebody", "a secret").salt);
  CHECK(mock.salt != MockVerifier("nobody", "another secret").salt);
  CHECK(mock.iterations == Pencil().iterations);
  const std::string password = GENERATE("", "nobody", "a secret");
  CHECK(Login(ScramClient(Password(password), "c"), ScramServer(mock, "s")) ==
        Login(ScramClient(Password(password), "c"), RfcServer()));
}

TEST_CASE("client-first-message is checked as PostgreSQL checks it", "[parser][scram]") {
  const auto [payload, state] = GENERATE(table<std::string, std::string>({
      {"n,,n=,r=abc", ""},
      {"y,,n=,r=abc", ""},
      {"n,,n=any user,r=abc", ""},
      {"n,,n=,r=abc,x=extension,y=", ""},
      {"", "08P01"},
      {"n", "08P01"},
      {"n,", "08P01"},
      {"n,,", "08P01"},
      {"n,,n=", "08P01"},
      {"n,,n=,", "08P01"},
      {"n,,n=,r", "08P01"},
      {"n,,r=abc", "08P01"},
      {"n,,n=,r=a\x7f", "08P01"},
      {"n,,n=,r=a b", "08P01"},
      {"n,,n=,r=\xc3\xa4", "08P01"},
      {"n,,n=,r=abc,1=x", "08P01"},
      {"n,,n=,r=abc,x", "08P01"},
      {"x,,n=,r=abc", "08P01"},
      {"nn,n=,r=abc", "08P01"},
      {"n,x,n=,r=abc", "08P01"},
      {"p=tls-server-end-point,,n=,r=abc", "08P01"},
      {"n,a=admin,n=,r=abc", "0A000"},
      {"n,,m=x,n=,r=abc", "0A000"},
      {std::string("n,,n=,r=a\0bc", 12), "08P01"},
      {"n,,n=,r=" + std::string(kMaxScramMessageBytes, 'a'), "08P01"},
  }));
  CAPTURE(payload);
  const auto answer = RfcServer().OnClientFirst(payload);
  CHECK((answer ? "" : ScramSqlState(answer.fault().fault)) == state);
}

TEST_CASE("client-final-message is checked as PostgreSQL checks it", "[parser][scram]") {
  const std::string nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  const std::string proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  ScramServer server = RfcServer();
  REQUIRE(server.OnClientFirst(kClientFirst));
  SECTION("cut anywhere") {
    const auto cut = GENERATE(range<std::size_t>(0, kClientFinal.size()));
    CAPTURE(cut);
    const auto answer = server.OnClientFinal(kClientFinal.substr(0, cut));
    REQUIRE_FALSE(answer);
    CHECK(answer.fault().fault == ScramFault::kMalformed);
  }
  SECTION("of another form") {
    const std::string payload = GENERATE_COPY(
        "c=eSws," + nonce + "," + proof, "c=," + nonce + "," + proof, "c=biws,r=other," + proof, "c=biws," + nonce + "x," + proof,
        nonce + "," + proof, "c=biws," + proof, "c=biws," + nonce + "," + proof + ",x=y", "c=biws," + nonce + ",p=QUJD",
        "c=biws," + nonce + ",p=" + std::string(44, '!'), "c=biws," + nonce + ",x," + proof);
    CAPTURE(payload);
    const auto answer = server.OnClientFinal(payload);
    REQUIRE_FALSE(answer);
    CHECK(answer.fault().fault == ScramFault::kMalformed);
  }
  SECTION("an extension is part of what is signed") {
    const auto answer = server.OnClientFinal("c=biws," + nonce + ",x=y," + proof);
    REQUIRE_FALSE(answer);
    CHECK(answer.fault().fault == ScramFault::kWrongPassword);
  }
  SECTION("twice") {
    REQUIRE(server.OnClientFinal(kClientFinal));
    CHECK_FALSE(server.OnClientFinal(kClientFinal));
  }
}

TEST_CASE("a login is bound to the certificate that both saw", "[parser][scram]") {
  using Use = ScramBinding::Use;
  const std::string ours(32, '\xee'), other(32, '\xef');
  const auto try_it = [](const ScramBinding& binding, const std::string& end_point, bool plus) {
    ScramServer server(Pencil(), "server", end_point);
    ScramClient client(Password("pencil"), "client", binding);
    const auto first = server.OnClientFirst(client.ClientFirst(), plus);
    if (!first) return std::string(ScramSqlState(first.fault().fault)) + " at once";
    const auto final = client.OnServerFirst(*first);
    REQUIRE(final);
    const auto success = server.OnClientFinal(*final);
    if (!success) return std::string(ScramSqlState(success.fault().fault));
    return std::string(client.OnServerFinal(success->server_final) ? "in" : "unproved");
  };
  CHECK(try_it({Use::kBound, ours}, ours, true) == "in");
  CHECK(try_it({Use::kImpossible}, ours, false) == "in");
  CHECK(try_it({Use::kImpossible}, "", false) == "in");
  CHECK(try_it({Use::kNotOffered}, "", false) == "in");
  // Somebody between them has another certificate, or left the offer out.
  CHECK(try_it({Use::kBound, other}, ours, true) == "28000");
  CHECK(try_it({Use::kBound, ""}, ours, true) == "28000");
  CHECK(try_it({Use::kNotOffered}, ours, false) == "28000 at once");
  // The mechanism and the message must agree.
  CHECK(try_it({Use::kBound, ours}, ours, false) == "08P01 at once");
  CHECK(try_it({Use::kImpossible}, ours, true) == "08P01 at once");
  CHECK(try_it({Use::kNotOffered}, ours, true) == "08P01 at once");
}

TEST_CASE("only the binding that PostgreSQL knows is taken", "[parser][scram]") {
  const std::string type =
      GENERATE("p=tls-unique", "p=", "p", "p=tls-server-end-point2", "p=tls-server-end-poin", "p=tls-exporter");
  ScramServer server(Pencil(), "server", std::string(32, 'e'));
  const auto answer = server.OnClientFirst(type + ",,n=,r=abc", true);
  REQUIRE_FALSE(answer);
  CHECK(answer.fault().fault == ScramFault::kMalformed);
}

TEST_CASE("what is bound is said again in the end, as it is", "[parser][scram]") {
  ScramServer server(Pencil(), "server", "end point");
  REQUIRE(server.OnClientFirst("p=tls-server-end-point,,n=,r=abc", true));
  // "n,,", "p=tls-server-end-point,," without what follows, and nothing
  const std::string said = GENERATE("biws", "cD10bHMtc2VydmVyLWVuZC1wb2ludCws", "");
  const auto answer = server.OnClientFinal("c=" + said + ",r=abcserver,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  REQUIRE_FALSE(answer);
  CHECK(answer.fault().fault == ScramFault::kOtherChannel);
}

TEST_CASE("client-final-message before client-first-message is refused", "[parser][scram]") {
  const auto answer = RfcServer().OnClientFinal(kClientFinal);
  REQUIRE_FALSE(answer);
  CHECK(answer.fault().fault == ScramFault::kMalformed);
}

TEST_CASE("the binding flag y must be repeated in the final message", "[parser][scram]") {
  ScramServer server = RfcServer();
  REQUIRE(server.OnClientFirst("y,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
  const auto answer = server.OnClientFinal(kClientFinal);  // has c=biws
  REQUIRE_FALSE(answer);
  CHECK(answer.fault().fault == ScramFault::kMalformed);
}

TEST_CASE("server-first-message is checked", "[parser][scram]") {
  ScramClient client(Password("pencil"), "abc");
  SECTION("cut anywhere it is refused, or is a smaller iteration count") {
    const std::string whole = "r=abcdef,s=QUJD,i=4096";
    const auto cut = GENERATE_COPY(range<std::size_t>(0, whole.size() - 3));
    CAPTURE(cut);
    CHECK_FALSE(client.OnServerFirst(std::string_view(whole).substr(0, cut)));
  }
  SECTION("of another form") {
    const auto [payload, fault] = GENERATE(table<std::string, ScramFault>({
        {"r=abc,s=QUJD,i=4096", ScramFault::kMalformed},  // the server added nothing
        {"r=xyz,s=QUJD,i=4096", ScramFault::kMalformed},
        {"r=abc d,s=QUJD,i=4096", ScramFault::kMalformed},
        {"r=abcd,s=,i=4096", ScramFault::kMalformed},
        {"r=abcd,s=Q,i=4096", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=0", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=-5", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=4096x", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=4096,x=y", ScramFault::kMalformed},
        {"m=x,r=abcd,s=QUJD,i=4096", ScramFault::kMalformed},
        {"r=abcd,s=QUJD,i=1000001", ScramFault::kUnsupported},
        {"r=abcd,s=QUJD,i=2147483647", ScramFault::kUnsupported},
        {"r=abc" + std::string(1'000'000, 'd') + ",s=QUJD,i=4096", ScramFault::kMalformed},
        {"r=abcd,s=" + std::string(1'000'000, 'A') + ",i=4096", ScramFault::kMalformed},
    }));
    CAPTURE(payload.substr(0, 40));
    const auto answer = client.OnServerFirst(payload);
    REQUIRE_FALSE(answer);
    CHECK(answer.fault().fault == fault);
  }
}

TEST_CASE("a server that does not know the key is not trusted", "[parser][scram]") {
  ScramClient client(Password("pencil"), "abc");
  REQUIRE(client.OnServerFirst("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
  const auto [payload, fault] = GENERATE(table<std::string, ScramFault>({
      {std::string(kServerFinal), ScramFault::kServerUnproved},
      {"e=invalid-proof", ScramFault::kWrongPassword},
      {"", ScramFault::kMalformed},
      {"v", ScramFault::kMalformed},
      {"v=", ScramFault::kMalformed},
      {"v=QUJD", ScramFault::kMalformed},
      {std::string(kServerFinal) + ",x=y", ScramFault::kMalformed},
      {"x=y", ScramFault::kMalformed},
  }));
  CAPTURE(payload);
  const auto answer = client.OnServerFinal(payload);
  REQUIRE_FALSE(answer);
  CHECK(answer.fault().fault == fault);
}

TEST_CASE("a server's final message out of order is refused", "[parser][scram]") {
  ScramClient client(Password("pencil"), "abc");
  CHECK_FALSE(client.OnServerFinal(kServerFinal));
}

TEST_CASE("a nonce is printable", "[parser][scram]") {
  std::array<std::byte, kScramNonceBytes> random{};
  random.fill(std::byte{0xff});
  CHECK(ScramNonce(random) == std::string(24, '/'));
}

TEST_CASE("the md5 answer is that of PostgreSQL", "[parser][md5_password]") {
  // select 'md5' || md5(md5('secret' || 'postgres') || convert_from('\x01020304', 'latin1'))
  const std::array salt{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  CHECK(Md5Password("postgres", "secret", salt) == "md5bb41a296aab6baccb36ff243a562abff");
}

}  // namespace waypost
