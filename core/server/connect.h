// The way to a server, as its configuration has it: TCP, or TLS around it. What is plain has no layer more than before. Worker
// thread only.
#pragma once

#include <memory>

#include "core/config/config.h"
#include "core/net/stream.h"

namespace waypost {

class Env;

// As Connector::Connect(). With TLS OnConnected comes when the handshake is done, so that nothing is said before.
[[nodiscard]] std::unique_ptr<Stream> ConnectTo(Env& env, const ServerConfig& server, StreamUser& user);

}  // namespace waypost
