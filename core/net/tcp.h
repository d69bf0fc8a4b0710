// TCP over libuv: the plain Stream. Worker thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/net/loop.h"
#include "core/net/stream.h"

namespace waypost {

class TcpStream final : public Stream {
 public:
  // Connects to `host` (a name is looked up) and reports OnConnected or OnClosed to `user`, which outlives the stream.
  static std::unique_ptr<TcpStream> Connect(Loop& loop, const std::string& host, std::uint16_t port, StreamUser& user);
  // A connection that was accepted as `fd`, which is the stream's from now on.
  static std::unique_ptr<TcpStream> Adopt(Loop& loop, int fd);
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  // For an accepted stream: whom to report to; reading starts.
  void Start(StreamUser& user);

  bool Write(Bytes bytes) override;
  void Pause(PauseReason reason) override;
  void Resume(PauseReason reason) override;
  void Finish() override;
  [[nodiscard]] unsigned Retransmissions() const override;

  // "127.0.0.1:40022", or empty if the peer is gone.
  [[nodiscard]] std::string PeerName() const;

 private:
  struct Handle;
  explicit TcpStream(Loop& loop);
  Handle* handle_;  // freed by libuv's close callback
};

}  // namespace waypost
