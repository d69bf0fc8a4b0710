// The sockets that clients come by: those of each [[listen]], while this process listens. Main thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"
#include "core/net/tcp_listener.h"

namespace waypost {

class ListeningSockets {
 public:
  // The socket that the process before has at "address:port", or at the path of a Unix socket; null: it has none.
  using Inherit = std::function<std::shared_ptr<ListeningSocket>(const std::string& where)>;

  // Takes what is inherited, else what the service manager has bound for us, else binds it; nobody is let in yet. The error is for
  // the user. What the service manager has bound and no listener is for is logged.
  [[nodiscard]] Result<bool> Bind(const std::vector<ListenConfig>& listeners, const Inherit& inherit);
  // Clients come in from now on.
  [[nodiscard]] Result<bool> Listen();
  // Another process has them, with their files; this one listens no more.
  void LeaveToSuccessor();
  // This process listens no more.
  void Close() { sockets_.clear(); }

  // In the order of the configuration, the Unix socket of a listener behind its TCP socket.
  [[nodiscard]] const std::vector<NamedSocket>& all() const { return sockets_; }
  [[nodiscard]] bool empty() const { return sockets_.empty(); }
  [[nodiscard]] std::vector<std::shared_ptr<ListeningSocket>> WithoutNames() const;

 private:
  std::vector<NamedSocket> sockets_;
};

}  // namespace waypost
