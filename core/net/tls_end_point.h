// Channel binding of the type tls-server-end-point. Pure.
// Source: https://www.rfc-editor.org/rfc/rfc5929#section-4
#pragma once

#include <string>

struct x509_st;

namespace waypost {

// The hash of the certificate, by the hash of its own signature, or by SHA-256 where that is MD5 or SHA-1. Empty if the
// signature has none (Ed25519): then there is no such binding.
[[nodiscard]] std::string EndPointOf(x509_st* certificate);

}  // namespace waypost
