#include "core/net/tls_certificate.h"

#include <openssl/x509.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waypost {
namespace {

using std::string_view_literals::operator""sv;

// Of a certificate whose subject has these fields.
CertificateName Of(const std::vector<std::pair<const char*, std::string_view>>& fields, int encoding = MBSTRING_UTF8) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  auto* subject = X509_get_subject_name(certificate.get());
  for (const auto& [name, value] : fields)
    REQUIRE(X509_NAME_add_entry_by_txt(subject, name, encoding, reinterpret_cast<const unsigned char*>(value.data()),
                                       static_cast<int>(value.size()), -1, 0) == 1);
  return NameOf(certificate.get());
}

}  // namespace

TEST_CASE("a certificate is for its first CN, and for its whole subject", "[core][net][tls]") {
  const auto both = Of({{"O", "Example, Inc."}, {"CN", "app"}, {"CN", "other"}});
  CHECK(both.common == "app");
  CHECK(both.subject == "CN=other,CN=app,O=Example\\, Inc.");
  const auto none = Of({{"O", "Example"}});
  CHECK(none.common.empty());
  CHECK(none.subject == "O=Example");
  CHECK(Of({}).common.empty());
  CHECK(Of({}).subject.empty());
}

TEST_CASE("a zero byte ends no name", "[core][net][tls]") {
  const auto name = Of({{"CN", "app\0.example"sv}});
  CHECK(name.common.empty());
  CHECK(name.subject == "CN=app\\00.example");
  // Two bytes a character, so that most have a zero.
  const auto wide = Of({{"CN", "\0a\0p\0p"sv}}, MBSTRING_BMP);
  CHECK((wide.common.empty() || wide.common == "app"));
}

}  // namespace waypost
