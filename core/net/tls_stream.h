// TLS around another stream: bytes go to OpenSSL and from there to the other one, so that waiting, pausing and ending are the
// other's. Whoever reports to nobody but its user sees no difference. Worker thread only.
//
//   accepted   --Begin()--> kHandshaking --> kOpen
//   connected  kConnecting --> kAsked (a question in the clear: does it speak TLS?) --> kHandshaking --> kOpen
//                                     \--> kPlain (it does not, and need not)
//   any failure, or the end --> kClosed
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/net/connector.h"
#include "core/net/loop.h"
#include "core/net/stream.h"
#include "core/net/tls_context.h"

struct ssl_st;

namespace waypost {

// How to speak TLS to a peer that we connect to.
struct TlsPeer {
  TlsContextRef context;
  std::string name;          // a host name or an IP address; a name is told to the peer
  bool verify_name = false;  // its certificate must be for `name`
  std::string question;      // sent in the clear first: 'S' in answer means that it speaks TLS, 'N' that it does not
  bool plain_will_do = false;
};

class TlsStream final : public Stream, private StreamUser {
 public:
  // Takes over `under`, an accepted stream in use; reports go to `user`, which outlives this. `alpn`: the client must name our
  // protocol. Begin() follows.
  [[nodiscard]] static std::unique_ptr<TlsStream> Accept(Loop& loop, TlsContextRef context, std::unique_ptr<Stream> under,
                                                         bool alpn, StreamUser& user);
  // The handshake begins. `read`: what of it was read already. May report to the user.
  void Begin(Bytes read);
  // As Connector::Connect(); OnConnected comes once all that is sent is encrypted, or plain where that will do.
  [[nodiscard]] static std::unique_ptr<TlsStream> Connect(Loop& loop, TlsPeer peer, Connector& connector, const std::string& host,
                                                          std::uint16_t port, StreamUser& user);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Before the handshake is done, what is written is dropped: there is no way to say it.
  bool Write(Bytes bytes) override;
  void Pause(PauseReason reason) override { under_->Pause(reason); }
  void Resume(PauseReason reason) override { under_->Resume(reason); }
  void Finish() override;
  void Start(StreamUser& user) override;
  // Of accepted streams, once the handshake is done; what is left of a record goes along.
  [[nodiscard]] std::unique_ptr<DetachedStream> Detach() override;
  [[nodiscard]] bool IsBare() const override { return false; }
  [[nodiscard]] unsigned Retransmissions() const override { return under_->Retransmissions(); }
  void ReportTo(StreamUser& user) override { user_ = &user; }
  [[nodiscard]] std::string PeerName() const override { return under_->PeerName(); }
  [[nodiscard]] std::string LocalName() const override { return under_->LocalName(); }
  [[nodiscard]] std::string PeerEndPoint() const override;
  [[nodiscard]] std::optional<CertificateName> PeerCertificate() const override;

 private:
  enum class State : std::uint8_t { kConnecting, kAsked, kHandshaking, kOpen, kPlain, kClosed };
  // Where OpenSSL reads and writes.
  struct Io {
    Bytes in;
    std::string* out;
  };
  struct FreeConnection {
    void operator()(ssl_st* connection) const;
  };
  // Outlives the stream in the calls to its user, who may destroy it.
  struct Presence {
    TlsStream* stream;
    // It is there, and its user wants to hear more.
    [[nodiscard]] bool goes_on() const { return stream != nullptr && stream->user_ != nullptr; }
  };

  using Connection = std::unique_ptr<ssl_st, FreeConnection>;
  class Detached;

  TlsStream(Loop& loop, TlsPeer peer, bool accepts, Connection connection, StreamUser* user);
  [[nodiscard]] static Connection NewConnection(const TlsPeer& peer, bool accepts);
  // StreamUser of `under_`
  void OnConnected() noexcept override;
  void OnData(Bytes data) noexcept override;
  void OnDrained() noexcept override;
  void OnClosed(const std::string& error) noexcept override;

  void OnAnswer(Bytes data);
  // True once the handshake is done, and the user has not let go.
  [[nodiscard]] bool Shake();
  [[nodiscard]] bool Shaken();
  void Deliver();
  // What OpenSSL has made goes out; as Write().
  bool Send();
  void SayGoodbye();
  void Report(const std::string& error);
  // Not from within the caller's call.
  void ReportLater(const std::string& error);
  [[nodiscard]] std::string WhyFailed() const;

  Loop& loop_;
  TlsPeer peer_;
  const bool accepts_;
  bool alpn_ = false;
  State state_ = State::kConnecting;
  StreamUser* user_;
  std::unique_ptr<Stream> under_;
  Io io_;
  Connection ssl_;
  std::unique_ptr<Timer> deferred_;
  std::shared_ptr<Presence> presence_;
};

}  // namespace waypost
