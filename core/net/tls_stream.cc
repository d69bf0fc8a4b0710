#include "core/net/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/base/release.h"
#include "core/net/tls_certificate.h"
#include "core/net/tls_end_point.h"

namespace waypost {
namespace {

constexpr std::size_t kReadBytes = 65'536;   // as the loop reads at most: what comes of it fits into its plain buffer
constexpr std::size_t kWriteBytes = 65'536;  // encrypted at once
constexpr std::size_t kKeptCipherBytes = 128 * 1024;

bool IsAddress(const std::string& name) {
  unsigned char parsed[sizeof(in6_addr)];
  return inet_pton(AF_INET, name.c_str(), parsed) == 1 || inet_pton(AF_INET6, name.c_str(), parsed) == 1;
}

}  // namespace

void TlsStream::FreeConnection::operator()(ssl_st* connection) const { SSL_free(connection); }

TlsStream::TlsStream(Loop& loop, TlsPeer peer, bool accepts, Connection connection, StreamUser* user)
    : loop_(loop),
      peer_(std::move(peer)),
      accepts_(accepts),
      user_(user),
      io_{{}, &loop.cipher_buffer()},
      ssl_(std::move(connection)),
      presence_(std::make_shared<Presence>(Presence{this})) {
  BIO_set_data(SSL_get_rbio(ssl_.get()), &io_);
}

TlsStream::Connection TlsStream::NewConnection(const TlsPeer& peer, bool accepts) {
  static BIO_METHOD* const kMethod = [] {
    auto* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "waypost stream");
    WAYPOST_CHECK(method != nullptr);
    BIO_meth_set_read(method, [](BIO* bio, char* to, int room) {
      auto& in = static_cast<Io*>(BIO_get_data(bio))->in;
      BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
      if (in.empty()) {
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return -1;
      }
      const auto count = std::min(in.size(), static_cast<std::size_t>(room));
      std::memcpy(to, in.data(), count);
      in = in.subspan(count);
      return static_cast<int>(count);
    });
    BIO_meth_set_write(method, [](BIO* bio, const char* from, int count) {
      static_cast<Io*>(BIO_get_data(bio))->out->append(from, static_cast<std::size_t>(count));
      return count;
    });
    BIO_meth_set_ctrl(method, [](BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1L : 0L; });
    return method;
  }();
  Connection connection(peer.context->NewConnection());
  auto* ssl = connection.get();
  auto* bio = BIO_new(kMethod);
  WAYPOST_CHECK(bio != nullptr);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (accepts) {
    SSL_set_accept_state(ssl);
    return connection;
  }
  SSL_set_connect_state(ssl);
  const bool address = IsAddress(peer.name);
  if (!address) {
    auto name = peer.name;  // SSL_set_tlsext_host_name() without its cast
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
  }
  if (!peer.verify_name) return connection;
  auto* verify = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  WAYPOST_CHECK((address ? X509_VERIFY_PARAM_set1_ip_asc(verify, peer.name.c_str())
                         : X509_VERIFY_PARAM_set1_host(verify, peer.name.data(), peer.name.size())) == 1);
  return connection;
}

// OpenSSL's half of a record goes along; what it has decrypted was delivered.
class TlsStream::Detached final : public DetachedStream {
 public:
  Detached(std::unique_ptr<DetachedStream> under, TlsPeer peer, Connection connection)
      : under_(std::move(under)), peer_(std::move(peer)), connection_(std::move(connection)) {}

  std::unique_ptr<Stream> Attach(Loop& loop) override {
    auto under = under_->Attach(loop);
    if (under == nullptr) return nullptr;
    std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(peer_), true, std::move(connection_), nullptr));
    stream->under_ = std::move(under);
    stream->state_ = State::kOpen;
    return stream;
  }

 private:
  std::unique_ptr<DetachedStream> under_;
  TlsPeer peer_;
  Connection connection_;
};

std::unique_ptr<DetachedStream> TlsStream::Detach() {
  if (!accepts_ || state_ != State::kOpen || deferred_) return nullptr;
  auto under = under_->Detach();
  if (under == nullptr) return nullptr;
  state_ = State::kClosed;
  user_ = nullptr;
  return std::make_unique<Detached>(std::move(under), std::move(peer_), std::move(ssl_));
}

void TlsStream::Start(StreamUser& user) {
  user_ = &user;
  under_->Start(*this);
}

TlsStream::~TlsStream() { presence_->stream = nullptr; }

std::unique_ptr<TlsStream> TlsStream::Accept(Loop& loop, TlsContextRef context, std::unique_ptr<Stream> under, bool alpn,
                                             StreamUser& user) {
  TlsPeer peer;
  peer.context = std::move(context);
  auto connection = NewConnection(peer, true);
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(peer), true, std::move(connection), &user));
  stream->alpn_ = alpn;
  stream->under_ = std::move(under);
  stream->under_->ReportTo(*stream);
  stream->state_ = State::kHandshaking;
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::Connect(Loop& loop, TlsPeer peer, Connector& connector, const std::string& host,
                                              std::uint16_t port, StreamUser& user) {
  auto connection = NewConnection(peer, false);
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(peer), false, std::move(connection), &user));
  stream->under_ = connector.Connect(host, port, *stream);
  return stream;
}

void TlsStream::Begin(Bytes read) { OnData(read); }

void TlsStream::OnConnected() noexcept {
  state_ = State::kAsked;
  under_->Write(AsBytes(peer_.question));
}

// What it says beside that one byte is not encrypted, and anybody between us may have said it: none of it is shown.
void TlsStream::OnAnswer(Bytes data) {
  const auto answer = AsText(data.first(1)).front();
  if (data.size() > 1) return Report("it sent unencrypted data behind its answer to SSLRequest");
  if (answer == 'S') {
    state_ = State::kHandshaking;
    (void)Shake();
  } else if (answer != 'N') {
    Report("it answered SSLRequest with an error, or with something that is not the PostgreSQL protocol");
  } else if (!peer_.plain_will_do) {
    Report("it does not support TLS, which the configuration requires");
  } else {
    state_ = State::kPlain;
    user_->OnConnected();
  }
}

void TlsStream::OnData(Bytes data) noexcept {
  if (user_ == nullptr || state_ == State::kClosed || data.empty()) return;
  if (state_ == State::kPlain) return user_->OnData(data);
  if (state_ == State::kAsked) return OnAnswer(data);
  const auto presence = presence_;
  while (!data.empty() && presence->goes_on() && state_ != State::kClosed) {
    const auto piece = data.first(std::min(data.size(), kReadBytes));
    data = data.subspan(piece.size());
    io_.in = piece;
    if (state_ == State::kOpen || Shake()) Deliver();
  }
}

bool TlsStream::Shake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  const bool waits = done != 1 && SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ;
  const auto error = done == 1 || waits ? "" : WhyFailed();
  Send();
  if (done == 1) return Shaken();
  if (!waits) Report("TLS handshake: " + error);
  return false;
}

bool TlsStream::Shaken() {
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &length);
  if (alpn_ && length == 0) {
    Report("TLS handshake: it asked for TLS at once without naming the protocol (ALPN \"postgresql\")");
    return false;
  }
  state_ = State::kOpen;
  const auto presence = presence_;
  user_->OnConnected();
  return presence->goes_on();
}

// All that one read holds, in one call: nothing is left that would have to wait for Resume().
void TlsStream::Deliver() {
  auto& plain = loop_.plain_buffer();
  std::size_t size = 0, got = 0;
  ERR_clear_error();
  while (SSL_read_ex(ssl_.get(), plain.data() + size, plain.size() - size, &got) == 1) size += got;
  const int why = SSL_get_error(ssl_.get(), 0);
  const bool ended = why == SSL_ERROR_ZERO_RETURN;
  const auto error = ended || why == SSL_ERROR_WANT_READ ? "" : "TLS: " + WhyFailed();
  io_.in = {};
  Send();  // an alert, or new keys
  const auto presence = presence_;
  if (size > 0) user_->OnData(Bytes(plain).first(size));
  if (!presence->goes_on()) return;
  if (ended) SayGoodbye();
  if (ended || !error.empty()) Report(error);
}

// close_notify; the peer's is not waited for.
void TlsStream::SayGoodbye() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  Send();
}

std::string TlsStream::WhyFailed() const {
  const bool verifies = (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0;
  const auto verified = verifies ? SSL_get_verify_result(ssl_.get()) : X509_V_OK;
  auto error = TakeTlsError();
  if (verified != X509_V_OK) error += std::string(": ") + X509_verify_cert_error_string(verified);
  return error;
}

bool TlsStream::Send() {
  auto& out = *io_.out;
  if (out.empty()) return true;
  const bool room = under_->Write(AsBytes(out));
  if (out.capacity() > kKeptCipherBytes) Release(out);
  else out.clear();
  return room;
}

bool TlsStream::Write(Bytes bytes) {
  if (state_ == State::kPlain) return under_->Write(bytes);
  if (state_ != State::kOpen) return true;
  bool room = true;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kWriteBytes));
    std::size_t written = 0;
    ERR_clear_error();
    if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &written) != 1) {
      ReportLater("TLS: " + WhyFailed());
      return true;
    }
    bytes = bytes.subspan(written);
    room = Send();
  }
  return room;
}

void TlsStream::Finish() {
  user_ = nullptr;
  deferred_.reset();
  if (std::exchange(state_, State::kClosed) == State::kOpen) SayGoodbye();
  under_->Finish();
}

void TlsStream::OnDrained() noexcept {
  if (user_ != nullptr && (state_ == State::kOpen || state_ == State::kPlain)) user_->OnDrained();
}

void TlsStream::OnClosed(const std::string& error) noexcept {
  if (state_ == State::kHandshaking) return Report("TLS handshake: " + (error.empty() ? "it closed the connection" : error));
  if (state_ == State::kAsked && error.empty()) return Report("it closed the connection instead of answering SSLRequest");
  Report(error);
}

void TlsStream::Report(const std::string& error) {
  state_ = State::kClosed;
  if (auto* user = std::exchange(user_, nullptr)) user->OnClosed(error);
}

void TlsStream::ReportLater(const std::string& error) {
  state_ = State::kClosed;
  deferred_ = std::make_unique<Timer>(loop_, [this, error] { Report(error); });
  deferred_->Start(milliseconds{0});
}

std::string TlsStream::PeerEndPoint() const {
  if (accepts_ || state_ != State::kOpen) return {};
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl_.get()), &X509_free);
  return EndPointOf(certificate.get());
}

std::optional<CertificateName> TlsStream::PeerCertificate() const {
  if (!accepts_ || state_ != State::kOpen || !peer_.context->verifies()) return std::nullopt;
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl_.get()), &X509_free);
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return std::nullopt;
  return NameOf(certificate.get());
}

}  // namespace waypost
