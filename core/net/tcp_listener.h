// Listens for clients.
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

// One queue of clients, from which as many loops take as watch it. Any thread; closed with its last user.
class ListeningSocket {
 public:
  // Takes `address`:`port`, and nobody is let in yet. The error is for the user: somebody else listens there, perhaps.
  [[nodiscard]] static Result<std::shared_ptr<ListeningSocket>> Bind(const std::string& address, std::uint16_t port);
  // One that another process has bound, at `where`.
  [[nodiscard]] static std::shared_ptr<ListeningSocket> Adopt(int fd, std::string where);
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  // From now on clients come in, and wait for somebody to accept them.
  [[nodiscard]] Result<bool> Listen();
  [[nodiscard]] int fd() const { return fd_; }
  // "address:port", as it was asked for.
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  ListeningSocket(int fd, std::string where) : fd_(fd), where_(std::move(where)) {}
  const int fd_;
  const std::string where_;
};

// Accepts for one loop, in turns with those of other loops. Worker thread only.
class TcpListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<TcpStream>)>;
  // `refusal`: what is sent to those for whom there is no descriptor. It accepts nobody before Watch(true).
  [[nodiscard]] static Result<std::unique_ptr<TcpListener>> On(Loop& loop, std::shared_ptr<ListeningSocket> socket,
                                                               std::string refusal, OnAccept on_accept);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;
  // Whether it accepts, or leaves it to the others.
  void Watch(bool accepts);

 private:
  struct Handle;
  explicit TcpListener(Handle* handle) : handle_(handle) {}
  Handle* handle_;  // freed by libuv's close callback
};

}  // namespace waypost
