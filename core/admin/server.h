// The HTTP port: carries requests to the AdminApi. One thread serves all connections (libmicrohttpd, epoll); what takes time
// is answered by threads of its own (lane.h), so that /readyz answers whatever others do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/admin/api.h"
#include "core/base/result.h"

namespace waypost {

struct AdminOptions {
  std::size_t connections = 64;  // at once
  std::vector<std::string> allowed_hosts = {};  // hosts.h
  std::string socket = {};                      // path of a Unix socket besides; empty: none
};

class AdminServer {
 public:
  explicit AdminServer(AdminSources sources, AdminOptions options = {});
  ~AdminServer();  // stops
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Listens on address:port (0: a free one) and answers from then on; the port. The error says
  // which port and why.
  [[nodiscard]] Result<std::uint16_t> Start(const std::string& address, std::uint16_t port);
  // No request is answered after it returns. Harmless if not started.
  void Stop();

 private:
  class Http;
  std::unique_ptr<Http> http_;
};

}  // namespace waypost
