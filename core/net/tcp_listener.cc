#include "core/net/tcp_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;  // then those who are connected have their turn
constexpr int kTurnedAwayPerRest = 16;
constexpr milliseconds kRest{100};

bool NoDescriptor(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// Of the peer, which is gone again, or of its network: accept(2). The next one may do.
bool OfOneClient(int error) {
  return error != EAGAIN && error != EWOULDBLOCK && !NoDescriptor(error) && error != EBADF && error != EINVAL;
}

// Empty: the socket that stands at `path` is nobody's any more.
std::string WhyNotStale(const std::string& path, const sockaddr* name, socklen_t size) {
  struct stat file{};
  if (lstat(path.c_str(), &file) != 0) return errno == ENOENT ? "" : std::strerror(errno);
  if (!S_ISSOCK(file.st_mode)) return "the file that stands there is not a socket";
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::strerror(errno);
  const bool stale = connect(fd, name, size) != 0 && (errno == ECONNREFUSED || errno == ENOENT);
  close(fd);
  return stale ? "" : "somebody listens there";
}

int SpareDescriptor() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

struct TcpListener::Handle {
  Handle(Loop& owner, std::shared_ptr<ListeningSocket> of, std::string said, OnAccept accepted)
      : loop(owner),
        socket(std::move(of)),
        spare(SpareDescriptor()),
        refusal(std::move(said)),
        on_accept(std::move(accepted)),
        rest(std::make_unique<Timer>(owner, [this] { Poll(); })) {}
  ~Handle() {
    if (spare >= 0) close(spare);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  void Poll() {
    uv_poll_start(&poll, UV_READABLE,
                  [](uv_poll_t* watched, int, int) { static_cast<Handle*>(watched->data)->AcceptThoseWaiting(); });
  }

  void StopPolling() {
    rest->Stop();
    uv_poll_stop(&poll);
  }

  [[nodiscard]] int Accept() const { return accept4(socket->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); }

  void AcceptThoseWaiting() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int client = Accept();
      if (client < 0 && OfOneClient(errno)) continue;
      if (client < 0 && !NoDescriptor(errno)) return;
      if (client < 0) {
        Log(LogLevel::kWarn, "accept_failed", {{"error", std::strerror(errno)}});
        TurnAway();
        uv_poll_stop(&poll);
        rest->Start(kRest);
        return;
      }
      if (auto stream = TcpStream::Adopt(loop, client)) on_accept(std::move(stream));
    }
  }

  // Those who wait longest are told why, each by the descriptor kept in reserve.
  void TurnAway() {
    for (int i = 0; i < kTurnedAwayPerRest && spare >= 0; ++i) {
      close(spare);
      const int client = Accept();
      if (client >= 0) {
        std::array<char, 1024> unread{};  // what is not read would make the close a reset
        (void)recv(client, unread.data(), unread.size(), MSG_DONTWAIT);
        (void)send(client, refusal.data(), refusal.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        close(client);
      }
      spare = SpareDescriptor();  // another thread may have been quicker
      if (client < 0) return;
    }
    if (spare < 0) spare = SpareDescriptor();
  }

  Loop& loop;
  std::shared_ptr<ListeningSocket> socket;
  int spare;
  bool watches = false;
  uv_poll_t poll{};
  std::string refusal;
  OnAccept on_accept;
  std::unique_ptr<Timer> rest;
};

Result<std::shared_ptr<ListeningSocket>> ListeningSocket::Bind(const std::string& address, std::uint16_t port) {
  auto where = address + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return Error{"cannot listen on " + where + ": not an IP address"};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(fd, found->ai_addr, found->ai_addrlen) == 0)
    return std::shared_ptr<ListeningSocket>(new ListeningSocket(fd, std::move(where)));
  const std::string why = std::strerror(errno);
  if (fd >= 0) close(fd);
  return Error{"cannot listen on " + where + ": " + why};
}

std::shared_ptr<ListeningSocket> ListeningSocket::Adopt(int fd, std::string where) {
  return std::shared_ptr<ListeningSocket>(new ListeningSocket(fd, std::move(where)));
}

Result<std::shared_ptr<ListeningSocket>> ListeningSocket::BindLocal(const std::string& path, unsigned mode) {
  const auto failed = [&](const std::string& why) { return Error{"cannot listen on " + path + ": " + why}; };
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) return failed("the path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(std::strerror(errno));
  auto made = Adopt(fd, path);
  bool bound = bind(fd, name, sizeof address) == 0;
  if (!bound && errno == EADDRINUSE) {
    if (auto why = WhyNotStale(path, name, sizeof address); !why.empty()) return failed(why);
    (void)unlink(path.c_str());
    bound = bind(fd, name, sizeof address) == 0;
  }
  if (!bound) return failed(std::strerror(errno));
  made->OwnFile(true);
  if (chmod(path.c_str(), mode) != 0) return failed(std::strerror(errno));
  return made;
}

std::optional<ListeningSocket::FileId> ListeningSocket::FileAt(const std::string& path) {
  struct stat file{};
  if (lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return std::nullopt;
  return FileId{file.st_dev, file.st_ino};
}

void ListeningSocket::OwnFile(bool owns) { file_ = owns ? FileAt(where_) : std::nullopt; }

ListeningSocket::~ListeningSocket() {
  if (file_ && FileAt(where_) == file_) (void)unlink(where_.c_str());
  close(fd_);
}

Result<bool> ListeningSocket::Listen() {
  if (listen(fd_, kBacklog) == 0) return true;
  return Error{"cannot listen on " + where_ + ": " + std::strerror(errno)};
}

Result<std::unique_ptr<TcpListener>> TcpListener::On(Loop& loop, std::shared_ptr<ListeningSocket> socket, std::string refusal,
                                                     OnAccept on_accept) {
  const int fd = socket->fd();
  auto handle = std::make_unique<Handle>(loop, std::move(socket), std::move(refusal), std::move(on_accept));
  if (const int failed = uv_poll_init(loop.raw(), &handle->poll, fd); failed != 0)
    return Error{std::string("cannot watch for clients: ") + uv_strerror(failed)};
  handle->poll.data = handle.get();
  return std::unique_ptr<TcpListener>(new TcpListener(handle.release()));
}

void TcpListener::Watch(bool accepts) {
  if (std::exchange(handle_->watches, accepts) == accepts) return;
  if (accepts) handle_->Poll();
  else handle_->StopPolling();
}

TcpListener::~TcpListener() {
  uv_poll_stop(&handle_->poll);
  handle_->rest.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

}  // namespace waypost
