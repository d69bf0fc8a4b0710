// Throwaway certificates in files of their own, for unit tests.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

#include "core/base/check.h"
#include "tests/support/folder.h"

namespace waypost::tls_test {

// A certificate that signs itself, for `name` (a host name), so that it is its own CA; and its key.
struct Identity {
  Folder folder;
  std::string cert = folder.File("cert.pem"), key = folder.File("key.pem");

  explicit Identity(const std::string& name = "server.test") {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> made(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), &X509_free);
    WAYPOST_CHECK(made && x509);
    X509_set_version(x509.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
    X509_set_pubkey(x509.get(), made.get());
    auto* subject = X509_get_subject_name(x509.get());
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x509.get(), subject);
    const auto names = "DNS:" + name;
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()), &X509_EXTENSION_free);
    X509_add_ext(x509.get(), extension.get(), -1);
    WAYPOST_CHECK(X509_sign(x509.get(), made.get(), EVP_sha256()) > 0);
    auto* cert_file = std::fopen(cert.c_str(), "w");
    auto* key_file = std::fopen(key.c_str(), "w");
    WAYPOST_CHECK(cert_file != nullptr && key_file != nullptr);
    PEM_write_X509(cert_file, x509.get());
    PEM_write_PrivateKey(key_file, made.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(cert_file);
    std::fclose(key_file);
    chmod(key.c_str(), 0600);
  }
};

}  // namespace waypost::tls_test
