// Makes the streams to servers: the one place that knows what they go over. TCP today; TLS is a Connector around another one, and
// a test has one whose servers follow a script. Worker thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/net/stream.h"

namespace waypost {

class Loop;

class Connector {
 public:
  virtual ~Connector() = default;
  // Connects to `host` (a name is looked up). Reports OnConnected or OnClosed to `user`, never before it has returned; `user`
  // outlives the stream.
  [[nodiscard]] virtual std::unique_ptr<Stream> Connect(const std::string& host, std::uint16_t port, StreamUser& user) = 0;
};

class TcpConnector final : public Connector {
 public:
  explicit TcpConnector(Loop& loop) : loop_(loop) {}
  [[nodiscard]] std::unique_ptr<Stream> Connect(const std::string& host, std::uint16_t port, StreamUser& user) override;

 private:
  Loop& loop_;
};

}  // namespace waypost
