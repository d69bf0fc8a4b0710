// The one seam that all socket I/O of the data path goes through: TCP, and TLS as a wrapper around another stream. Worker thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/certificate_name.h"

namespace waypost {

// Who a stream reports to. Every call comes from the loop; the stream may be destroyed inside any of them.
class StreamUser {
 public:
  // Of a stream that connects: it has. Of one that becomes TLS: the handshake is done.
  virtual void OnConnected() noexcept {}
  // `data` is a buffer of the loop: valid during the call only.
  virtual void OnData(Bytes data) noexcept = 0;
  // What was queued has fallen to the low mark (half of the high one) after it had been over the high mark.
  virtual void OnDrained() noexcept {}
  // The peer closed (`error` empty) or the connection failed. Nothing more comes; destroy the stream.
  virtual void OnClosed(const std::string& error) noexcept = 0;

 protected:
  ~StreamUser() = default;
};

class Loop;
class Stream;

// A connection between two loops: one has let go of it, and none has it yet. Any thread; unless it is attached, it closes at its end.
class DetachedStream {
 public:
  virtual ~DetachedStream() = default;
  // Once, in the thread of `loop`. The stream reports to nobody before Stream::Start. nullptr: it cannot be.
  [[nodiscard]] virtual std::unique_ptr<Stream> Attach(Loop& loop) = 0;
  // Once, in place of Attach: the descriptor, the caller's from now on. -1: it is more than that.
  [[nodiscard]] virtual int TakeDescriptor() { return -1; }
};

class Stream {
 public:
  // Over this much queued, the source of the bytes should stop: Write returns false.
  static constexpr std::size_t kHighMark = 256 * 1024;
  // Why reading is paused; it goes on when no reason is left.
  enum PauseReason : std::uint8_t { kPeerSlow = 1, kBusy = 2 };

  virtual ~Stream() = default;
  // Sends now what the socket takes, queues the rest. False if more is queued than kHighMark: expect OnDrained.
  virtual bool Write(Bytes bytes) = 0;
  virtual void Pause(PauseReason reason) = 0;
  virtual void Resume(PauseReason reason) = 0;
  // No more calls to the user; what is queued is still sent, within `kLinger`, then the socket closes.
  virtual void Finish() = 0;
  // Whom it reports to from now on; reading starts. For one that was accepted or attached.
  virtual void Start(StreamUser& user) = 0;
  // Lets go of the connection, for another loop to have it; nothing is lost of what has not been read. nullptr, and nothing has
  // changed: it cannot, now or ever. After it there is nothing to do with this but to destroy it.
  [[nodiscard]] virtual std::unique_ptr<DetachedStream> Detach() { return nullptr; }
  // Its descriptor is all there is of it: another process can have it, by DetachedStream::TakeDescriptor().
  [[nodiscard]] virtual bool IsBare() const { return true; }
  // How often in a row the same bytes were sent again because the peer acknowledges nothing. 0 while it does, also while it only
  // has no room for more.
  [[nodiscard]] virtual unsigned Retransmissions() const { return 0; }
  // The other end of it and ours, "127.0.0.1:40022", or "[local]" of a Unix socket; empty if it is not known (any more). Each costs a system call.
  [[nodiscard]] virtual std::string PeerName() const { return {}; }
  [[nodiscard]] virtual std::string LocalName() const { return {}; }
  // Of a peer that came by a Unix socket: the system's number of its user, as it connected. Nothing: it came by the network. Costs
  // system calls.
  [[nodiscard]] virtual std::optional<std::uint32_t> LocalUser() const { return std::nullopt; }
  // From now on reports go to `user`, which outlives the stream: a wrapper takes over a stream that is in use.
  virtual void ReportTo(StreamUser& user) = 0;
  // Channel binding of the type tls-server-end-point (RFC 5929): the hash of the certificate that the peer showed. Empty without
  // TLS, and for a certificate whose signature has no hash of its own.
  [[nodiscard]] virtual std::string PeerEndPoint() const { return {}; }
  // Of a client: whom the certificate is for that it showed, and that was verified. Nothing: it showed none, or none is verified.
  [[nodiscard]] virtual std::optional<CertificateName> PeerCertificate() const { return std::nullopt; }
};

}  // namespace waypost
