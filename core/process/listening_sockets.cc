#include "core/process/listening_sockets.h"

#include <utility>

#include "core/base/log.h"
#include "core/process/activated_sockets.h"

namespace waypost {
namespace {

using Bound = Result<std::shared_ptr<ListeningSocket>>;

Bound BindTcp(const ListenConfig& listener, const ListeningSockets::Inherit& inherit, ActivatedSockets& activated) {
  auto there = inherit(listener.address + ":" + std::to_string(listener.port));
  if (!there) there = activated.Take(listener.address, listener.port);
  if (there) return there;
  return ListeningSocket::Bind(listener.address, listener.port);
}

Bound BindLocal(const ListenConfig& listener, const ListeningSockets::Inherit& inherit, ActivatedSockets& activated) {
  const auto path = listener.socket_path();
  auto there = inherit(path);
  if (!there) there = activated.TakeLocal(path);
  if (there) return there;
  return ListeningSocket::BindLocal(path, listener.socket_mode);
}

}  // namespace

Result<bool> ListeningSockets::Bind(const std::vector<ListenConfig>& listeners, const Inherit& inherit) {
  ActivatedSockets activated;
  for (const auto& listener : listeners) {
    auto bound = BindTcp(listener, inherit, activated);
    if (!bound) return Error{bound.error()};
    sockets_.push_back({listener.name, std::move(*bound)});
    if (listener.socket.empty()) continue;
    auto local = BindLocal(listener, inherit, activated);
    if (!local) return Error{local.error()};
    sockets_.push_back({listener.name, std::move(*local)});
  }
  for (const auto& where : activated.Left())
    Log(LogLevel::kWarn, "socket_not_used",
        {{"where", where}, {"why", "no [[listen]] has this address and port, or this socket"}});
  return true;
}

Result<bool> ListeningSockets::Listen() {
  for (const auto& [name, socket] : sockets_)
    if (const auto listening = socket->Listen(); !listening) return Error{listening.error()};
  return true;
}

void ListeningSockets::LeaveToSuccessor() {
  for (const auto& [name, socket] : sockets_) socket->OwnFile(false);
  sockets_.clear();
}

std::vector<std::shared_ptr<ListeningSocket>> ListeningSockets::WithoutNames() const {
  std::vector<std::shared_ptr<ListeningSocket>> sockets;
  sockets.reserve(sockets_.size());
  for (const auto& [name, socket] : sockets_) sockets.push_back(socket);
  return sockets;
}

}  // namespace waypost
