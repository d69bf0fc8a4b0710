// One CancelRequest on its way to a server: connects, sends one message, waits until the server closes. Until then the
// connection it is meant for does not change hands. Worker thread only.
#pragma once

#include <memory>
#include <string>

#include "core/net/tcp.h"
#include "core/server/connection.h"

namespace waypost {

class CancelRequest final : public StreamUser {
 public:
  CancelRequest(Worker& worker, ServerConnection& connection);
  ~CancelRequest();
  CancelRequest(const CancelRequest&) = delete;
  CancelRequest& operator=(const CancelRequest&) = delete;

  // The server connection is gone; the end need not be reported.
  void Orphan(const ServerConnection& connection) {
    if (connection_ == &connection) connection_ = nullptr;
  }
  // Gives up a request that the server does not end.
  void Sweep(TimePoint now);

  void OnConnected() noexcept override;
  void OnData(Bytes) noexcept override {}
  void OnClosed(const std::string& error) noexcept override;

 private:
  Worker& worker_;
  ServerConnection* connection_;
  TimePoint deadline_;
  std::string message_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace waypost
