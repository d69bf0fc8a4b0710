// Whom a certificate is for: see NameOf() in core/net/tls_certificate.h.
#pragma once

#include <string>

namespace waypost {

struct CertificateName {
  std::string common;   // the first CN of its subject; empty: it has none, or one that would read otherwise than it is
  std::string subject;  // all of it, as RFC 2253 writes it
};

}  // namespace waypost
