#include "core/server/login.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/wire_builders.h"

namespace waypost {
namespace {

// A login to a server that asks for no password, and what the server says to it.
struct Login {
  ServerConfig server;
  ServerLogin login{server, "u", "d", {}, {}};
  std::string out;

  ServerLogin::Progress Hear(const std::string& bytes) {
    Bytes in = AsBytes(bytes);
    return login.OnBytes(in, out);
  }
};

std::string Negotiated(std::uint32_t version) { return wire::Message('v', wire::U32(version) + wire::U32(0)); }
const std::string kOk = wire::Message('R', wire::U32(0));
const std::string kReady = wire::Message('Z', "I");
std::string Key(std::size_t bytes) { return wire::Message('K', wire::U32(7) + std::string(bytes, '\xfe')); }

}  // namespace

TEST_CASE("a server is offered the newest protocol and may speak an older one", "[core][server_login]") {
  Login one;
  CHECK(one.login.Start().substr(4, 4) == wire::U32(0x30002));
  SECTION("as 13 to 17 do") {
    CHECK(one.Hear(Negotiated(0x30000) + kOk + Key(4) + kReady) == ServerLogin::Progress::kReady);
    CHECK(one.login.protocol_minor() == 0);
    CHECK(one.login.pid() == 7);
    CHECK(one.login.secret() == std::string(4, '\xfe'));
  }
  SECTION("as 18 does") {
    CHECK(one.Hear(kOk + Key(32) + kReady) == ServerLogin::Progress::kReady);
    CHECK(one.login.protocol_minor() == 2);
    CHECK(one.login.secret() == std::string(32, '\xfe'));
  }
}

TEST_CASE("over TLS a login is bound to the server's certificate where it can be", "[core][server_login]") {
  ServerConfig server;
  ServerLogin login(server, "u", "d", {}, {.password = "secret", .has_password = true, .keys = {}});
  const auto answer_to = [&](const std::string& mechanisms) {
    const auto request = wire::Message('R', wire::U32(10) + mechanisms + std::string(1, '\0'));
    std::string out;
    Bytes in = AsBytes(request);
    CHECK(login.OnBytes(in, out) == ServerLogin::Progress::kGoOn);
    return out.substr(5);
  };
  const std::string plain("SCRAM-SHA-256\0", 14), plus("SCRAM-SHA-256-PLUS\0", 19);
  SECTION("offered") {
    login.BindTo(std::string(32, 'e'));
    CHECK(answer_to(plus + plain).starts_with(plus));
    CHECK(answer_to(plus + plain).find("p=tls-server-end-point,,n=,r=") != std::string::npos);
  }
  SECTION("not offered: the server hears that we could have") {
    login.BindTo(std::string(32, 'e'));
    CHECK(answer_to(plain).starts_with(plain));
    CHECK(answer_to(plain).find("y,,n=,r=") != std::string::npos);
  }
  SECTION("without TLS") {
    CHECK(answer_to(plus + plain).starts_with(plain));
    CHECK(answer_to(plain).find("n,,n=,r=") != std::string::npos);
  }
}

TEST_CASE("a server may not choose a protocol that it was not offered", "[core][server_login]") {
  Login one;
  CHECK(one.Hear(Negotiated(GENERATE(0x30003U, 0x40000U, 0x20000U, 0U))) == ServerLogin::Progress::kFailed);
  CHECK(one.login.sqlstate() == "08P01");
}

TEST_CASE("a cancel key has 1 to 256 bytes", "[core][server_login]") {
  const auto [bytes, good] = GENERATE(table<std::size_t, bool>({{0, false}, {1, true}, {256, true}, {257, false}}));
  CAPTURE(bytes);
  Login one;
  CHECK((one.Hear(kOk + Key(bytes) + kReady) == ServerLogin::Progress::kReady) == good);
}

}  // namespace waypost
