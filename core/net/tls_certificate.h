// Whom a certificate is for, as PostgreSQL reads it. Any thread.
// Source: postgres src/backend/libpq/be-secure-openssl.c, be_tls_open_server()
#pragma once

#include "core/base/certificate_name.h"

struct x509_st;

namespace waypost {

// A name with a zero byte in it is empty: what compares it may stop there (CVE-2009-4034).
[[nodiscard]] CertificateName NameOf(x509_st* certificate);

}  // namespace waypost
