// The one HTTP listener: carries requests to the AdminApi. Its own small pool of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/admin/api.h"
#include "core/base/result.h"

namespace waypost {

class AdminServer {
 public:
  explicit AdminServer(AdminSources sources);
  ~AdminServer();  // stops
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Listens on address:port (0: a free one) and answers from then on; the port. The error says
  // which port and why.
  [[nodiscard]] Result<std::uint16_t> Start(const std::string& address, std::uint16_t port);
  // No request is answered after it returns. Harmless if not started.
  void Stop();

 private:
  class Listener;
  std::unique_ptr<Listener> listener_;
};

}  // namespace waypost
