#include "core/admin/acceptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace waypost {
namespace {

constexpr int kBacklog = 1024;
constexpr milliseconds kTick{250};
constexpr milliseconds kFullPause{5};  // until those that make way are closed
constexpr milliseconds kOutOfDescriptorsPause{100};
constexpr unsigned kUnreadMs = 30'000;  // how long what was sent may stay without a sign of the peer's kernel

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

// `address`: an IP address.
bool Read(const std::string& address, std::uint16_t port, Address& to) {
  auto& four = reinterpret_cast<sockaddr_in&>(to.storage);
  if (inet_pton(AF_INET, address.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    to.length = sizeof four;
    return true;
  }
  auto& six = reinterpret_cast<sockaddr_in6&>(to.storage);
  if (inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) != 1) return false;
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  to.length = sizeof six;
  return true;
}

std::uint16_t PortOf(const sockaddr_storage& storage) {
  return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

AdminPeer PeerOf(int socket, const sockaddr_storage& from) {
  AdminPeer peer;
  if (from.ss_family == AF_INET || from.ss_family == AF_INET6) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = &reinterpret_cast<const sockaddr_in&>(from).sin_addr;
    peer.loopback = (ntohl(reinterpret_cast<const sockaddr_in&>(from).sin_addr.s_addr) >> 24U) == 127;
    if (from.ss_family == AF_INET6) {
      const auto& six = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
      address = &six;
      peer.loopback = IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
    }
    peer.address = inet_ntop(from.ss_family, address, text.data(), text.size()) != nullptr ? text.data() : "?";
    peer.name = peer.address + ":" + std::to_string(PortOf(from));
    return peer;
  }
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
    peer.uid = credentials.uid;
    peer.name = "unix uid=" + std::to_string(credentials.uid) + " pid=" + std::to_string(credentials.pid);
  }
  return peer;
}

// A peer that has gone without a word is noticed.
void WatchPeer(int socket) {
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnreadMs, sizeof kUnreadMs);
}

}  // namespace

AdminAcceptor::~AdminAcceptor() { Stop(); }

Result<std::uint16_t> AdminAcceptor::ListenTcp(const std::string& address, std::uint16_t port) {
  const auto failed = [&](int socket) {
    const Error error{"admin: cannot listen on " + address + ":" + std::to_string(port) + ": " + std::strerror(errno)};
    if (socket >= 0) close(socket);
    return error;
  };
  Address to;
  errno = EADDRNOTAVAIL;
  if (!Read(address, port, to)) return failed(-1);
  const int socket = ::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return failed(-1);
  // Not SO_REUSEPORT, which would share the port with another Waypost instead of failing.
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  auto* bound = reinterpret_cast<sockaddr*>(&to.storage);
  if (bind(socket, bound, to.length) != 0 || listen(socket, kBacklog) != 0) return failed(socket);
  getsockname(socket, bound, &to.length);
  listeners_.push_back(socket);
  return PortOf(to.storage);
}

Result<bool> AdminAcceptor::ListenUnix(const std::string& path) {
  const auto failed = [&](const std::string& why) { return Error{"admin: cannot listen on " + path + ": " + why}; };
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return failed("the path is too long");
  path.copy(to.sun_path, path.size());
  const auto* address = reinterpret_cast<const sockaddr*>(&to);
  struct stat facts{};
  if (lstat(path.c_str(), &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode)) return failed("there is something else of that name");
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken = probe >= 0 && connect(probe, address, sizeof to) == 0;
    if (probe >= 0) close(probe);
    if (taken) return failed(std::strerror(EADDRINUSE));
    unlink(path.c_str());
  }
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return failed(std::strerror(errno));
  if (bind(socket, address, sizeof to) != 0 || chmod(path.c_str(), 0666) != 0 || listen(socket, kBacklog) != 0) {
    const auto error = failed(std::strerror(errno));
    close(socket);
    return error;
  }
  listeners_.push_back(socket);
  socket_path_ = path;
  return true;
}

void AdminAcceptor::Start() {
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { Run(); });
}

void AdminAcceptor::Stop() {
  ends_ = true;
  if (wake_ >= 0) (void)eventfd_write(wake_, 1);
  if (thread_.joinable()) thread_.join();
  for (const int socket : std::exchange(listeners_, {})) close(socket);
  if (!socket_path_.empty()) unlink(std::exchange(socket_path_, {}).c_str());
  if (wake_ >= 0) close(std::exchange(wake_, -1));
}

void AdminAcceptor::Run() {
  pthread_setname_np(pthread_self(), "waypost-accept");
  TimePoint next_tick{};
  while (!ends_) {
    std::vector<pollfd> watched{{wake_, POLLIN, 0}};
    const bool full = full_();
    if (!full)
      for (const int socket : listeners_) watched.push_back({socket, POLLIN, 0});
    poll(watched.data(), watched.size(), static_cast<int>((full ? kFullPause : kTick).count()));
    for (std::size_t i = 1; i < watched.size(); ++i)
      if (watched[i].revents != 0) AcceptFrom(watched[i].fd);
    if (const auto now = Clock::now(); now >= next_tick) {
      next_tick = now + kTick;
      tick_();
    }
  }
}

void AdminAcceptor::AcceptFrom(int listener) {
  while (!ends_ && !full_()) {
    Address from;
    from.length = sizeof from.storage;
    auto* address = reinterpret_cast<sockaddr*>(&from.storage);
    const int socket = accept4(listener, address, &from.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pollfd rest{wake_, POLLIN, 0};
        poll(&rest, 1, static_cast<int>(kOutOfDescriptorsPause.count()));
      }
      return;
    }
    if (from.storage.ss_family != AF_UNIX) WatchPeer(socket);
    take_(socket, address, from.length, PeerOf(socket, from.storage));
  }
}

}  // namespace waypost
