#include "core/process/handover_link.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace waypost {
namespace {

// A record is bounded by [limits] of a session; no more is taken.
constexpr std::uint32_t kMaxBytes = 256U << 20U;
constexpr std::size_t kHeaderBytes = 5;

}  // namespace

Result<std::pair<int, int>> HandoverLink::Pair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0) return std::pair{ends[0], ends[1]};
  return Error{std::string("socketpair: ") + std::strerror(errno)};
}

HandoverLink::~HandoverLink() { close(fd_); }

void HandoverLink::Shut() { shutdown(fd_, SHUT_RDWR); }

bool HandoverLink::SendAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool HandoverLink::Send(HandoverKind kind, std::string_view body, int fd) {
  std::array<char, kHeaderBytes> header{static_cast<char>(kind)};
  const auto size = static_cast<std::uint32_t>(body.size());
  std::memcpy(header.data() + 1, &size, sizeof size);  // both ends are this machine
  iovec part{header.data(), header.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  const std::scoped_lock lock(sending_);
  ssize_t sent = 0;
  do sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent > 0 && SendAll({header.data() + sent, header.size() - static_cast<std::size_t>(sent)}) && SendAll(body);
}

bool HandoverLink::ReceiveAll(char* bytes, std::size_t size) {
  while (size > 0) {
    const auto got = recv(fd_, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

std::optional<HandoverMessage> HandoverLink::Receive() {
  std::array<char, kHeaderBytes> header{};
  iovec part{header.data(), header.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do got = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  HandoverMessage received{};
  for (auto* rights = CMSG_FIRSTHDR(&message); rights != nullptr; rights = CMSG_NXTHDR(&message, rights))
    if (rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS)
      std::memcpy(&received.fd, CMSG_DATA(rights), sizeof received.fd);
  std::uint32_t size = 0;
  bool whole = ReceiveAll(header.data() + got, header.size() - static_cast<std::size_t>(got));
  std::memcpy(&size, header.data() + 1, sizeof size);
  received.kind = static_cast<HandoverKind>(header[0]);
  if (whole && size <= kMaxBytes) {
    received.body.resize(size);
    whole = ReceiveAll(received.body.data(), size);
  } else {
    whole = false;
  }
  if (whole) return received;
  if (received.fd >= 0) close(received.fd);
  return std::nullopt;
}

}  // namespace waypost
