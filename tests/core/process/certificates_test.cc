#include "core/process/certificates.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/support/certificates.h"

namespace waypost {
namespace {

using tls_test::Identity;

Config With(const Identity& identity) {
  Config config;
  auto& listener = config.listeners.emplace_back();
  listener.name = "outside";
  listener.tls = ListenTls::kAllow;
  listener.tls_cert = identity.cert;
  listener.tls_key = identity.key;
  return config;
}

void Replace(const Identity& identity, const Identity& by) {
  std::filesystem::rename(by.cert, identity.cert);
  std::filesystem::rename(by.key, identity.key);
}

}  // namespace

TEST_CASE("a certificate that is renewed comes in force once its files stand still", "[core][certificates]") {
  const Identity identity;
  const auto config = With(identity);
  TlsInForce in_force;
  Certificates certificates(in_force);
  REQUIRE(certificates.Load(config));
  const auto before = in_force.OfListener("outside").context;
  REQUIRE(before != nullptr);
  CHECK_FALSE(certificates.Look(config));
  CHECK_FALSE(certificates.Look(config));

  SECTION("a good one") {
    Replace(identity, Identity());
    CHECK_FALSE(certificates.Look(config));
    CHECK(certificates.Look(config));
    CHECK(in_force.OfListener("outside").context != before);
    CHECK_FALSE(certificates.Look(config));
  }
  SECTION("a broken one leaves the one before") {
    std::ofstream(identity.cert) << "no certificate";
    CHECK_FALSE(certificates.Look(config));
    CHECK_FALSE(certificates.Look(config));
    CHECK(in_force.OfListener("outside").context == before);
  }
}

TEST_CASE("a certificate that is renewed right behind its load comes in force", "[core][certificates]") {
  const Identity identity;
  const auto config = With(identity);
  TlsInForce in_force;
  Certificates certificates(in_force);
  REQUIRE(certificates.Load(config));
  Replace(identity, Identity());
  CHECK_FALSE(certificates.Look(config));
  CHECK(certificates.Look(config));
}

TEST_CASE("what is tried does not come in force", "[core][certificates]") {
  const Identity identity;
  const auto config = With(identity);
  CHECK(Certificates::Try(config));
  std::filesystem::remove(identity.cert);
  CHECK_FALSE(Certificates::Try(config));
  TlsInForce in_force;
  CHECK_FALSE(Certificates(in_force).Load(config));
  CHECK(in_force.OfListener("outside").context == nullptr);
}

TEST_CASE("certificates are looked at once an interval", "[core][certificates]") {
  TlsInForce in_force;
  Certificates certificates(in_force);
  const TimePoint start = TimePoint{} + seconds(10);
  CHECK(certificates.IsDue(start));
  CHECK_FALSE(certificates.IsDue(start + Certificates::kInterval - milliseconds(1)));
  CHECK(certificates.IsDue(start + Certificates::kInterval));
}

}  // namespace waypost
