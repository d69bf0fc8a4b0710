// The sockets that the admin port listens on, and the thread that accepts there. What it accepts it hands over; when the
// connections are too many it waits, so that nobody takes descriptors beyond the plan.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/admin/connections.h"
#include "core/base/result.h"

namespace waypost {

class AdminAcceptor {
 public:
  // `take` becomes the owner of `socket`. It is called on the acceptor's thread, as `tick` is four times a second.
  using Take = std::function<void(int socket, const sockaddr* from, socklen_t length, AdminPeer peer)>;
  AdminAcceptor(Take take, std::function<void()> tick, std::function<bool()> full)
      : take_(std::move(take)), tick_(std::move(tick)), full_(std::move(full)) {}
  ~AdminAcceptor();
  AdminAcceptor(const AdminAcceptor&) = delete;
  AdminAcceptor& operator=(const AdminAcceptor&) = delete;

  // Before Start(). The port that it got; the error says which and why.
  [[nodiscard]] Result<std::uint16_t> ListenTcp(const std::string& address, std::uint16_t port);
  // The same on a Unix socket that everybody may open: who he is says the kernel. A socket that nobody listens on is replaced.
  [[nodiscard]] Result<bool> ListenUnix(const std::string& path);
  void Start();
  // Accepts no more and listens no longer. Harmless if not started.
  void Stop();

 private:
  void Run();
  void AcceptFrom(int listener);

  const Take take_;
  const std::function<void()> tick_;
  const std::function<bool()> full_;
  std::vector<int> listeners_;
  std::string socket_path_;  // to be removed
  int wake_ = -1;  // an eventfd
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace waypost
