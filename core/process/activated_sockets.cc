#include "core/process/activated_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace waypost {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
constexpr int kMost = 1024;

std::optional<int> TakeNumber(const char* variable) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): no other thread runs
  if (text == nullptr) return std::nullopt;
  int number = 0;
  const auto end = text + std::strlen(text);
  const auto read = std::from_chars(text, end, number);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  unsetenv(variable);  // NOLINT(concurrency-mt-unsafe)
  return whole ? std::optional(number) : std::nullopt;
}

// An IP address and a port, as one listens there.
struct Place {
  std::array<unsigned char, 16> address{};
  int family = 0;
  std::uint16_t port = 0;
  bool operator==(const Place&) const = default;
};

std::optional<Place> PlaceOf(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  int type = 0;
  socklen_t type_size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) != 0 || type != SOCK_STREAM) return std::nullopt;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return std::nullopt;
  Place place{.family = bound.ss_family};
  if (bound.ss_family == AF_INET) {
    const auto& at = reinterpret_cast<const sockaddr_in&>(bound);
    std::memcpy(place.address.data(), &at.sin_addr, sizeof at.sin_addr);
    place.port = ntohs(at.sin_port);
    return place;
  }
  if (bound.ss_family != AF_INET6) return std::nullopt;
  const auto& at = reinterpret_cast<const sockaddr_in6&>(bound);
  std::memcpy(place.address.data(), &at.sin6_addr, sizeof at.sin6_addr);
  place.port = ntohs(at.sin6_port);
  return place;
}

std::optional<Place> PlaceOf(const std::string& address, std::uint16_t port) {
  Place place{.port = port};
  for (const int family : {AF_INET, AF_INET6}) {
    place.family = family;
    if (inet_pton(family, address.c_str(), place.address.data()) == 1) return place;
  }
  return std::nullopt;
}

// Of a Unix socket with a name in the file system.
std::optional<std::string> LocalPathOf(int fd) {
  sockaddr_un bound{};
  socklen_t size = sizeof bound;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0 || bound.sun_family != AF_UNIX || bound.sun_path[0] == 0)
    return std::nullopt;
  return std::string(bound.sun_path, strnlen(bound.sun_path, sizeof bound.sun_path));
}

std::string TextOf(const std::optional<Place>& place) {
  if (!place) return "a socket that is not for TCP";
  std::array<char, INET6_ADDRSTRLEN> text{};
  (void)inet_ntop(place->family, place->address.data(), text.data(), text.size());
  return std::string(text.data()) + ":" + std::to_string(place->port);
}

}  // namespace

ActivatedSockets::ActivatedSockets() {
  const auto pid = TakeNumber("LISTEN_PID"), count = TakeNumber("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");  // NOLINT(concurrency-mt-unsafe)
  if (!pid || !count || *pid != getpid()) return;
  for (int fd = kFirst; fd < kFirst + std::min(*count, kMost); ++fd) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) continue;
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets_.push_back(fd);
  }
}

ActivatedSockets::~ActivatedSockets() {
  for (const int fd : sockets_) close(fd);
}

std::shared_ptr<ListeningSocket> ActivatedSockets::Take(const std::string& address, std::uint16_t port) {
  const auto wanted = PlaceOf(address, port);
  const auto found = std::ranges::find_if(sockets_, [&](int fd) { return wanted && PlaceOf(fd) == wanted; });
  if (found == sockets_.end()) return nullptr;
  const int fd = *found;
  sockets_.erase(found);
  return ListeningSocket::Adopt(fd, address + ":" + std::to_string(port));
}

std::shared_ptr<ListeningSocket> ActivatedSockets::TakeLocal(const std::string& path) {
  const auto found = std::ranges::find_if(sockets_, [&](int fd) { return LocalPathOf(fd) == path; });
  if (found == sockets_.end()) return nullptr;
  const int fd = *found;
  sockets_.erase(found);
  return ListeningSocket::Adopt(fd, path);
}

std::vector<std::string> ActivatedSockets::Left() const {
  std::vector<std::string> left;
  for (const int fd : sockets_) {
    const auto path = LocalPathOf(fd);
    left.push_back(path ? *path : TextOf(PlaceOf(fd)));
  }
  return left;
}

}  // namespace waypost
