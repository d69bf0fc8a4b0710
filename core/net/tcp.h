// TCP over libuv: the plain Stream. Worker thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/net/loop.h"
#include "core/net/stream.h"

namespace waypost {

// Also what was accepted from a Unix socket.
class TcpStream final : public Stream {
 public:
  // Connects to `host` (a name is looked up) and reports OnConnected or OnClosed to `user`, which outlives the stream.
  static std::unique_ptr<TcpStream> Connect(Loop& loop, const std::string& host, std::uint16_t port, StreamUser& user);
  // A connection that was accepted as `fd`, which is the stream's from now on.
  static std::unique_ptr<TcpStream> Adopt(Loop& loop, int fd);
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  bool Write(Bytes bytes) override;
  void Pause(PauseReason reason) override;
  void Resume(PauseReason reason) override;
  void Finish() override;
  void Start(StreamUser& user) override;
  // Of accepted streams; not while something waits to be sent.
  [[nodiscard]] std::unique_ptr<DetachedStream> Detach() override;
  [[nodiscard]] unsigned Retransmissions() const override;
  void ReportTo(StreamUser& user) override;

  [[nodiscard]] std::string PeerName() const override;
  [[nodiscard]] std::string LocalName() const override;
  [[nodiscard]] std::optional<std::uint32_t> LocalUser() const override;

 private:
  struct Handle;
  explicit TcpStream(Loop& loop);
  Handle* handle_;  // freed by libuv's close callback
};

}  // namespace waypost
