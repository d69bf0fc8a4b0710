#include "core/net/connector.h"

#include "core/net/tcp.h"

namespace waypost {

std::unique_ptr<Stream> TcpConnector::Connect(const std::string& host, std::uint16_t port, StreamUser& user) {
  return TcpStream::Connect(loop_, host, port, user);
}

}  // namespace waypost
