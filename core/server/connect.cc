#include "core/server/connect.h"

#include <string>

#include "core/base/check.h"
#include "core/env/env.h"
#include "core/net/tls_stream.h"
#include "parser/wire/encode.h"

namespace waypost {

std::unique_ptr<Stream> ConnectTo(Env& env, const ServerConfig& server, StreamUser& user) {
  if (server.tls == ServerTls::kDisable) return env.connector().Connect(server.host, server.port, user);
  TlsPeer peer{.context = env.shared().tls.OfServer(server.name),
               .name = server.tls_name(),
               .verify_name = server.tls == ServerTls::kVerifyFull,
               .question = {},
               .plain_will_do = server.tls == ServerTls::kPrefer};
  WAYPOST_CHECK(peer.context != nullptr);  // it was loaded before the configuration came into force
  AppendSslRequest(peer.question);
  return TlsStream::Connect(env.loop(), std::move(peer), env.connector(), server.host, server.port, user);
}

}  // namespace waypost
