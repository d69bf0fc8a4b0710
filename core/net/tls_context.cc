#include "core/net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/check.h"
#include "core/net/tls_end_point.h"

namespace waypost {
namespace {

// In the form that ALPN has it: a length, then the name. IANA's name for PostgreSQL's protocol.
constexpr unsigned char kAlpn[] = {10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};

// A client that names protocols, and not ours, meant another server: as PostgreSQL, no connection.
int ChooseAlpn(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered, unsigned offered_length,
               void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, length, kAlpn, sizeof kAlpn, offered, offered_length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

// Nobody is there to be asked for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string CannotRead(const std::string& file, const std::string& what, const std::string& expected) {
  return file + ": " + what + ", expected " + expected;
}

// Empty if it can be read.
std::string WhyUnreadable(const std::string& file, const std::string& expected) {
  if (access(file.c_str(), R_OK) == 0) return {};
  return CannotRead(file, std::string("cannot be read: ") + std::strerror(errno), expected);
}

}  // namespace

std::string TakeTlsError() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

std::string WhatIsWrongWithKeyFile(const std::string& path) {
  struct stat file{};
  if (stat(path.c_str(), &file) != 0) return std::string("cannot be read: ") + std::strerror(errno);
  if (!S_ISREG(file.st_mode)) return "is not a regular file";
  if (file.st_uid != geteuid() && file.st_uid != 0) return "belongs to another user, expected root or the user of Waypost";
  const mode_t forbidden = file.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
  if ((file.st_mode & forbidden) != 0)
    return "has group or world access, expected mode u=rw (0600), or u=rw,g=r (0640) if it is owned by root";
  return {};
}

void TlsContext::FreeContext::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void TlsContext::FreeSession::operator()(ssl_session_st* session) const { SSL_SESSION_free(session); }

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_method())) {
  auto* context = context_.get();
  WAYPOST_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(context, NoPassphrase);
}

TlsContext::~TlsContext() = default;

std::string TlsContext::UseIdentity(const TlsFiles& files) {
  auto* context = context_.get();
  ERR_clear_error();
  if (auto why = WhyUnreadable(files.cert, "a certificate in PEM form"); !why.empty()) return why;
  if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) != 1)
    return CannotRead(files.cert, "found " + TakeTlsError(), "a certificate in PEM form, and its chain behind it");
  if (auto why = WhatIsWrongWithKeyFile(files.key); !why.empty()) return files.key + ": " + why;
  if (auto why = WhyUnreadable(files.key, "a private key in PEM form"); !why.empty()) return why;
  const bool loaded = SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1;
  if (!loaded && ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
    ERR_clear_error();
    return CannotRead(files.key, "found another key than that of " + files.cert, "the private key of the certificate");
  }
  if (!loaded) return CannotRead(files.key, "found " + TakeTlsError(), "a private key in PEM form, without a passphrase");
  if (SSL_CTX_check_private_key(context) != 1)
    return CannotRead(files.key, "found another key than that of " + files.cert, "the private key of the certificate");
  end_point_ = EndPointOf(SSL_CTX_get0_certificate(context));
  return {};
}

std::string TlsContext::UseCa(const TlsFiles& files) {
  auto* context = context_.get();
  const auto& file = files.ca;
  ERR_clear_error();
  if (auto why = WhyUnreadable(file, "certificates in PEM form"); !why.empty()) return why;
  if (SSL_CTX_load_verify_file(context, file.c_str()) != 1)
    return CannotRead(file, "found " + TakeTlsError(), "certificates in PEM form");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  verifies_ = true;
  return files.crl.empty() ? std::string() : UseCrl(files.crl);
}

// Lists alone: a certificate that stands among them must not become a CA, as it would by X509_load_cert_crl_file().
std::string TlsContext::UseCrl(const std::string& file) {
  const std::string expected = "certificate revocation lists in PEM form";
  if (auto why = WhyUnreadable(file, expected); !why.empty()) return why;
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_file(file.c_str(), "r"), &BIO_free);
  auto* store = SSL_CTX_get_cert_store(context_.get());
  unsigned lists = 0;
  for (;;) {
    const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> list(
        in == nullptr ? nullptr : PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr), &X509_CRL_free);
    if (list == nullptr) break;
    if (X509_STORE_add_crl(store, list.get()) != 1) return CannotRead(file, "found " + TakeTlsError(), expected);
    ++lists;
  }
  const bool ended = lists > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const auto error = TakeTlsError();
  if (!ended) return CannotRead(file, "found " + error, expected);
  // As PostgreSQL: of each authority between the certificate and the CA.
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

Result<TlsContextRef> TlsContext::ForClients(const TlsFiles& files, ClientTls demands) {
  std::shared_ptr<TlsContext> made(new TlsContext());
  auto* context = made->context_.get();
  if (demands.only_tls13) SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  // As PostgreSQL: nothing of a connection outlives it, so that each client shows its certificate.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(context, ChooseAlpn, nullptr);
  if (auto why = made->UseIdentity(files); !why.empty()) return Error{why};
  if (files.ca.empty()) return TlsContextRef(std::move(made));
  if (auto why = made->UseCa(files); !why.empty()) return Error{why};
  if (demands.certificate_optional) SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files.ca.c_str()));
  return TlsContextRef(std::move(made));
}

Result<TlsContextRef> TlsContext::ForServers(const TlsFiles& files) {
  std::shared_ptr<TlsContext> made(new TlsContext());
  auto* context = made->context_.get();
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn);
  made->KeepSessions();
  if (!files.cert.empty())
    if (auto why = made->UseIdentity(files); !why.empty()) return Error{why};
  if (!files.ca.empty())
    if (auto why = made->UseCa(files); !why.empty()) return Error{why};
  return TlsContextRef(std::move(made));
}

void TlsContext::KeepSessions() {
  auto* context = context_.get();
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, [](SSL* connection, SSL_SESSION* session) {
    const auto* self = static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
    const std::scoped_lock lock(self->mutex_);
    self->session_.reset(session);
    return 1;  // it is ours now
  });
}

ssl_st* TlsContext::NewConnection() const {
  auto* connection = SSL_new(context_.get());
  WAYPOST_CHECK(connection != nullptr);
  const std::scoped_lock lock(mutex_);
  if (session_) SSL_set_session(connection, session_.get());
  return connection;
}

}  // namespace waypost
