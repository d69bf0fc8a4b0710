// The sockets on which the service manager listens for us: systemd's socket activation. Clients wait there while no process of ours
// runs. Main thread only, before any other thread runs.
// Source: sd_listen_fds(3), https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/net/tcp_listener.h"

namespace waypost {

class ActivatedSockets {
 public:
  // By the environment, from which it goes: LISTEN_PID, LISTEN_FDS. None if they are for another process.
  ActivatedSockets();
  ~ActivatedSockets();  // closes those that nobody took
  ActivatedSockets(const ActivatedSockets&) = delete;
  ActivatedSockets& operator=(const ActivatedSockets&) = delete;

  // The one for TCP that is bound to `address`:`port`; nullptr if there is none.
  [[nodiscard]] std::shared_ptr<ListeningSocket> Take(const std::string& address, std::uint16_t port);
  // The Unix socket that is bound to `path`; nullptr if there is none. Its file stays systemd's.
  [[nodiscard]] std::shared_ptr<ListeningSocket> TakeLocal(const std::string& path);
  // Where those that nobody took are bound: "127.0.0.1:6432", the path of a Unix socket, or "a socket that is not for TCP".
  [[nodiscard]] std::vector<std::string> Left() const;

 private:
  std::vector<int> sockets_;
};

}  // namespace waypost
