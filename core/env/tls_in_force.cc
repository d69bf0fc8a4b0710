#include "core/env/tls_in_force.h"

#include <utility>

namespace waypost {
namespace {

Result<TlsInForce::Listener> Made(const ListenConfig& listener) {
  if (listener.tls == ListenTls::kDisable) return TlsInForce::Listener{};
  auto context = TlsContext::ForClients({listener.tls_cert, listener.tls_key, listener.tls_client_ca, listener.tls_crl},
                                        {listener.tls13_only, listener.tls_client_optional});
  if (!context) return Error{"listener \"" + listener.name + "\": " + context.error()};
  return TlsInForce::Listener{listener.tls, std::move(*context)};
}

Result<TlsContextRef> Made(const ServerConfig& server) {
  if (server.tls == ServerTls::kDisable) return TlsContextRef{};
  const bool verifies = server.tls == ServerTls::kVerifyCa || server.tls == ServerTls::kVerifyFull;
  auto context = TlsContext::ForServers({server.tls_cert, server.tls_key, verifies ? server.tls_ca : "", server.tls_crl});
  if (!context) return Error{"server \"" + server.name + "\": " + context.error()};
  return context;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace

Result<std::vector<std::string>> TlsInForce::Load(const Config& config) {
  const std::scoped_lock lock(mutex_);
  auto listeners = listeners_;
  std::vector<std::string> kept, faults;
  for (const auto& configured : config.listeners) {
    auto made = Made(configured);
    auto& in_force = listeners[configured.name];
    if (made) {
      in_force = std::move(*made);
    } else if (in_force.context) {
      in_force.mode = configured.tls;
      kept.push_back(made.error());
    } else {
      faults.push_back(made.error());
    }
  }
  auto servers = servers_;
  for (const auto& configured : config.servers) {
    auto made = Made(configured);
    auto& in_force = servers[configured.name];
    if (made) in_force = std::move(*made);
    else (in_force ? kept : faults).push_back(made.error());
  }
  if (!faults.empty()) return Error{Joined(faults)};
  listeners_ = std::move(listeners);
  servers_ = std::move(servers);
  return kept;
}

TlsInForce::Listener TlsInForce::OfListener(std::string_view name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = listeners_.find(name);
  return found == listeners_.end() ? Listener{} : found->second;
}

TlsContextRef TlsInForce::OfServer(std::string_view name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = servers_.find(name);
  return found == servers_.end() ? nullptr : found->second;
}

}  // namespace waypost
