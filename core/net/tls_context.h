// What TLS needs that does not change from one connection to the next: certificate, key, CA, versions. Immutable once made, but
// for the sessions that servers let us resume; any thread. A reload makes a new one; connections keep theirs.
//
// TLS 1.2 at least, 1.3 where the peer speaks it; no renegotiation, no compression; the system's ciphers.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/base/result.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;

namespace waypost {

// PEM files; empty: none.
struct TlsFiles {
  std::string cert, key;  // ours, with the chain; both or none
  std::string ca;         // whoever signs the peers' certificates
  std::string crl = {};   // certificates that they have revoked: a list of each of them, with `ca` alone
};

// What a listener demands.
struct ClientTls {
  bool only_tls13 = false;            // nothing older
  bool certificate_optional = false;  // with TlsFiles::ca a client may still come without one; else it may not
};

class TlsContext;
using TlsContextRef = std::shared_ptr<const TlsContext>;

class TlsContext {
 public:
  // Towards clients. With files.ca a certificate that a client shows must be signed by it. The error says which file is wrong,
  // and what was expected.
  [[nodiscard]] static Result<TlsContextRef> ForClients(const TlsFiles& files, ClientTls demands);
  // Towards servers. With files.ca they must show a certificate that it signed. The error as above.
  [[nodiscard]] static Result<TlsContextRef> ForServers(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A connection of this context, which outlives it; the caller's, for SSL_free(). Its session resumes the newest that a server
  // gave, if any.
  [[nodiscard]] ssl_st* NewConnection() const;
  // Channel binding to our own certificate: see Stream::PeerEndPoint().
  [[nodiscard]] const std::string& end_point() const { return end_point_; }
  // Peers' certificates are verified: there is a CA.
  [[nodiscard]] bool verifies() const { return verifies_; }

 private:
  struct FreeContext {
    void operator()(ssl_ctx_st* context) const;
  };
  struct FreeSession {
    void operator()(ssl_session_st* session) const;
  };

  TlsContext();
  // The fault, or empty.
  [[nodiscard]] std::string UseIdentity(const TlsFiles& files);
  [[nodiscard]] std::string UseCa(const TlsFiles& files);
  [[nodiscard]] std::string UseCrl(const std::string& file);
  void KeepSessions();

  std::unique_ptr<ssl_ctx_st, FreeContext> context_;
  std::string end_point_;
  bool verifies_ = false;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<ssl_session_st, FreeSession> session_;
};

// What PostgreSQL demands of a private key's file, as words that say what is wrong; empty: nothing is.
[[nodiscard]] std::string WhatIsWrongWithKeyFile(const std::string& path);

// The newest error of OpenSSL in this thread, in its words; the others are forgotten.
[[nodiscard]] std::string TakeTlsError();

}  // namespace waypost
