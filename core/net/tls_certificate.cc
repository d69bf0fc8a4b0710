#include "core/net/tls_certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace waypost {
namespace {

std::string Whole(std::string_view name) {
  return std::string(name.find('\0') == std::string_view::npos ? name : std::string_view());
}

// As its bytes are: of an encoding that PostgreSQL would not compare either, nothing matches.
std::string CommonOf(const X509_NAME* subject) {
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const auto* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  if (text == nullptr) return {};
  return Whole({reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text))});
}

std::string Printed(const X509_NAME* subject) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  if (out == nullptr || X509_NAME_print_ex(out.get(), subject, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const auto size = BIO_ctrl(out.get(), BIO_CTRL_INFO, 0, &text);  // BIO_get_mem_data() without its cast
  return size <= 0 ? std::string() : Whole({text, static_cast<std::size_t>(size)});
}

}  // namespace

CertificateName NameOf(x509_st* certificate) {
  const auto* subject = X509_get_subject_name(certificate);
  CertificateName name{CommonOf(subject), Printed(subject)};
  ERR_clear_error();
  return name;
}

}  // namespace waypost
