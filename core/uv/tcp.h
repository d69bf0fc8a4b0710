// TCP over libuv: the plain Stream, and the listener. Worker thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/stream.h"
#include "core/uv/loop.h"

namespace waypost {

class TcpStream final : public Stream {
 public:
  // Connects to `host` (a name is looked up) and reports OnConnected or OnClosed to `user`, which outlives the stream.
  static std::unique_ptr<TcpStream> Connect(Loop& loop, const std::string& host, std::uint16_t port,
                                            StreamUser& user);
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  // For an accepted stream: whom to report to; reading starts.
  void Start(StreamUser& user);

  bool Write(Bytes bytes) override;
  void Pause(PauseReason reason) override;
  void Resume(PauseReason reason) override;
  void Finish() override;

  // "127.0.0.1:40022", or empty if the peer is gone.
  [[nodiscard]] std::string PeerName() const;

 private:
  friend class TcpListener;
  struct Handle;
  explicit TcpStream(Loop& loop);
  Handle* handle_;  // freed by libuv's close callback
};

// Accepts on `address`:`port`, which several workers may share (SO_REUSEPORT): the kernel spreads new connections.
class TcpListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<TcpStream>)>;
  [[nodiscard]] static Result<std::unique_ptr<TcpListener>> Listen(Loop& loop,
                                                                   const std::string& address,
                                                                   std::uint16_t port,
                                                                   OnAccept on_accept);
  // The error if somebody listens there already: SO_REUSEPORT would let a second process share the port in silence.
  [[nodiscard]] static Result<bool> CheckFree(const std::string& address, std::uint16_t port);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

 private:
  struct Handle;
  explicit TcpListener(Handle* handle) : handle_(handle) {}
  Handle* handle_;
};

}  // namespace waypost
