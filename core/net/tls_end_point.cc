#include "core/net/tls_end_point.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

namespace waypost {

std::string EndPointOf(x509_st* certificate) {
  int hash = NID_undef;
  if (certificate == nullptr || X509_get_signature_info(certificate, &hash, nullptr, nullptr, nullptr) != 1 ||
      hash == NID_undef) {
    ERR_clear_error();
    return {};
  }
  if (hash == NID_md5 || hash == NID_sha1) hash = NID_sha256;
  const auto* digest = EVP_get_digestbynid(hash);
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (digest == nullptr || X509_digest(certificate, digest, reinterpret_cast<unsigned char*>(out.data()), &size) != 1) {
    ERR_clear_error();
    return {};
  }
  out.resize(size);
  return out;
}

}  // namespace waypost
