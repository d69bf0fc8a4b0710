// Listens for clients. Worker thread only.
//
// When the process has no descriptor left, a reserve is given up for a moment so that the longest waiter hears why it is
// turned away; then the listener rests, so that nothing spins. Clients wait in the kernel's queue meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/net/loop.h"
#include "core/net/tcp.h"

namespace waypost {

// Accepts on `address`:`port`, which several workers may share (SO_REUSEPORT): the kernel spreads new connections.
class TcpListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<TcpStream>)>;
  // `refusal`: what is sent to those for whom there is no descriptor.
  [[nodiscard]] static Result<std::unique_ptr<TcpListener>> Listen(Loop& loop, const std::string& address, std::uint16_t port,
                                                                   std::string refusal, OnAccept on_accept);
  // The error if somebody listens there already: SO_REUSEPORT would let a second process share the port in silence.
  [[nodiscard]] static Result<bool> CheckFree(const std::string& address, std::uint16_t port);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

 private:
  struct Handle;
  explicit TcpListener(Handle* handle) : handle_(handle) {}
  Handle* handle_;  // freed by libuv's close callback
};

}  // namespace waypost
