#include "core/net/tcp.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cstring>
#include <utility>
#include <vector>

#include "core/base/release.h"

namespace waypost {
namespace {

// After so long in silence a client is asked whether it is there, and a server, which others wait for.
constexpr unsigned kClientKeepaliveSeconds = 60;
constexpr unsigned kServerKeepaliveSeconds = 5;
constexpr milliseconds kLinger{5'000};  // how long a finished stream may go on sending what is queued

class DetachedTcp final : public DetachedStream {
 public:
  explicit DetachedTcp(int fd) : fd_(fd) {}
  ~DetachedTcp() override {
    if (fd_ >= 0) close(fd_);
  }
  DetachedTcp(const DetachedTcp&) = delete;
  DetachedTcp& operator=(const DetachedTcp&) = delete;
  std::unique_ptr<Stream> Attach(Loop& loop) override { return TcpStream::Adopt(loop, std::exchange(fd_, -1)); }
  int TakeDescriptor() override { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace

struct TcpStream::Handle {
  explicit Handle(Loop& owner_loop) : loop(owner_loop) {}

  Loop& loop;
  uv_tcp_t tcp{};
  uv_connect_t connect{};
  uv_getaddrinfo_t lookup{};
  uv_write_t write{};
  std::string sending;   // belongs to libuv while `writing`
  std::string waiting;   // goes out next
  StreamUser* user = nullptr;
  std::unique_ptr<Timer> linger, deferred;
  std::vector<sockaddr_storage> addresses;  // of the host, to be tried in turn
  std::size_t next_address = 0;
  bool reconnecting = false;
  bool initialised = false;
  bool writing = false;
  bool looking_up = false;
  bool accepted = false;
  bool connected = false;
  bool over_high_mark = false;
  bool finishing = false;
  bool closing = false;
  std::uint8_t pauses = 0;
  std::string host;
  std::uint16_t port = 0;

  static Handle* Of(void* data) { return static_cast<Handle*>(data); }

  void Init() {
    uv_tcp_init(loop.raw(), &tcp);
    tcp.data = this;
    initialised = true;
  }

  // The handle lives on until libuv let go of it.
  void Close() {
    user = nullptr;
    linger.reset();
    deferred.reset();
    if (closing) return;
    closing = true;
    if (reconnecting) return;  // freed when the old socket is closed
    if (looking_up) {
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup));
      return;  // freed when the look-up reports
    }
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp), [](uv_handle_t* closed) { delete Of(closed->data); });
  }

  void Fail(int error) {
    if (finishing) {
      Close();
      return;
    }
    if (user != nullptr) user->OnClosed(error == UV_EOF ? "" : uv_strerror(error));
  }

  void ReadStart() {
    if (!connected || pauses != 0 || closing || finishing) return;
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(&tcp),
        [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
          auto& bytes = Of(handle->data)->loop.read_buffer();
          *buffer = uv_buf_init(reinterpret_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
        },
        [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
          auto* self = Of(stream->data);
          if (count < 0) {
            uv_read_stop(stream);
            self->Fail(static_cast<int>(count));
          } else if (count > 0 && self->user != nullptr) {
            self->user->OnData({reinterpret_cast<const std::byte*>(buffer->base), static_cast<std::size_t>(count)});
          }
        });
  }

  void SendWaiting() {
    writing = true;
    sending = std::move(waiting);
    Release(waiting);
    auto buffer = uv_buf_init(sending.data(), static_cast<unsigned>(sending.size()));
    write.data = this;
    const int failed = uv_write(&write, reinterpret_cast<uv_stream_t*>(&tcp), &buffer, 1,
                                [](uv_write_t* request, int status) { Of(request->data)->Sent(status); });
    if (failed == 0) return;
    writing = false;
    FailLater(failed);
  }

  // Not from within the caller's call.
  void FailLater(int error) {
    deferred = std::make_unique<Timer>(loop, [this, error] { Fail(error); });
    deferred->Start(milliseconds{0});
  }

  void Sent(int status) {
    writing = false;
    Release(sending);
    if (closing) return;
    if (status != 0) {
      Fail(status);
      return;
    }
    if (!waiting.empty()) SendWaiting();
    const auto queued = sending.size() + waiting.size();
    if (finishing) {
      if (queued == 0) Close();
      return;
    }
    if (over_high_mark && queued <= kHighMark / 2) {
      over_high_mark = false;
      if (user != nullptr) user->OnDrained();
    }
  }

  void ConnectTo(const sockaddr* address) {
    Init();
    const int failed = uv_tcp_connect(&connect, &tcp, address, [](uv_connect_t* request, int status) {
      auto* self = Of(request->handle->data);
      if (self->closing) return;
      if (status != 0) {
        self->ConnectFailed(status);
        return;
      }
      self->Connected(kServerKeepaliveSeconds);
      if (self->user != nullptr) self->user->OnConnected();
    });
    if (failed != 0) ConnectFailed(failed);
  }

  void ConnectNext() {
    const auto address = addresses[next_address++];
    ConnectTo(reinterpret_cast<const sockaddr*>(&address));
  }

  // The next address of the host, on a new socket; after the last one the user hears of it.
  void ConnectFailed(int error) {
    if (next_address == addresses.size()) {
      Fail(error);
      return;
    }
    reconnecting = true;
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp), [](uv_handle_t* closed) {
      auto* self = Of(closed->data);
      self->reconnecting = false;
      if (self->closing) delete self;
      else self->ConnectNext();
    });
  }

  // No TCP_USER_TIMEOUT: it also ends a connection whose peer does not read for so long, as a client does that is in no hurry,
  // and a server whose COPY waits for a lock. See Retransmissions().
  void Connected(unsigned keepalive_seconds) {
    connected = true;
    uv_tcp_nodelay(&tcp, 1);
    uv_tcp_keepalive(&tcp, 1, keepalive_seconds);
    ReadStart();
  }

  void LookUp() {
    looking_up = true;
    lookup.data = this;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int failed = uv_getaddrinfo(
        loop.raw(), &lookup,
        [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
          auto* self = Of(request->data);
          self->looking_up = false;
          if (self->closing) {
            if (found != nullptr) uv_freeaddrinfo(found);
            delete self;
            return;
          }
          if (status != 0 || found == nullptr) {
            self->Init();
            self->Fail(status != 0 ? status : UV_EAI_NONAME);
          } else {
            for (const auto* one = found; one != nullptr; one = one->ai_next) {
              auto& address = self->addresses.emplace_back();
              std::memcpy(&address, one->ai_addr, one->ai_addrlen);
            }
            self->ConnectNext();
          }
          if (found != nullptr) uv_freeaddrinfo(found);
        },
        host.c_str(), std::to_string(port).c_str(), &hints);
    if (failed == 0) return;
    looking_up = false;
    Init();
    FailLater(failed);
  }
};

TcpStream::TcpStream(Loop& loop) : handle_(new Handle(loop)) {}

TcpStream::~TcpStream() {
  if (handle_ != nullptr) handle_->Close();
}

std::unique_ptr<TcpStream> TcpStream::Connect(Loop& loop, const std::string& host, std::uint16_t port, StreamUser& user) {
  std::unique_ptr<TcpStream> stream(new TcpStream(loop));
  auto& handle = *stream->handle_;
  handle.user = &user;
  handle.host = host;
  handle.port = port;
  // Always by the look-up, which is asynchronous also for a numeric address: the caller has the stream before a report.
  handle.LookUp();
  return stream;
}

std::unique_ptr<TcpStream> TcpStream::Adopt(Loop& loop, int fd) {
  std::unique_ptr<TcpStream> stream(new TcpStream(loop));
  stream->handle_->Init();
  stream->handle_->accepted = true;
  if (uv_tcp_open(&stream->handle_->tcp, fd) == 0) return stream;
  close(fd);
  return nullptr;
}

void TcpStream::Start(StreamUser& user) {
  handle_->user = &user;
  handle_->Connected(kClientKeepaliveSeconds);
}

bool TcpStream::Write(Bytes bytes) {
  if (handle_ == nullptr || handle_->closing) return true;
  auto& h = *handle_;
  if (!h.writing && h.waiting.empty()) {
    auto buffer = uv_buf_init(const_cast<char*>(AsText(bytes).data()),  // libuv only reads it
                              static_cast<unsigned>(bytes.size()));
    const int sent = uv_try_write(reinterpret_cast<uv_stream_t*>(&h.tcp), &buffer, 1);
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    if (bytes.empty()) return true;
  }
  h.waiting += AsText(bytes);
  if (!h.writing) h.SendWaiting();
  if (h.sending.size() + h.waiting.size() > kHighMark) h.over_high_mark = true;
  return !h.over_high_mark;
}

void TcpStream::Pause(PauseReason reason) {
  if (handle_ == nullptr) return;
  const bool was = handle_->pauses != 0;
  handle_->pauses |= reason;
  if (!was && handle_->connected && !handle_->closing) uv_read_stop(reinterpret_cast<uv_stream_t*>(&handle_->tcp));
}

void TcpStream::Resume(PauseReason reason) {
  if (handle_ == nullptr) return;
  const bool was = handle_->pauses != 0;
  handle_->pauses = static_cast<std::uint8_t>(handle_->pauses & ~reason);
  if (was && handle_->pauses == 0) handle_->ReadStart();
}

void TcpStream::Finish() {
  if (handle_ == nullptr) return;
  auto* h = handle_;
  handle_ = nullptr;
  h->user = nullptr;
  if (h->closing || h->looking_up || !h->connected || (!h->writing && h->waiting.empty())) {
    h->Close();
    return;
  }
  h->finishing = true;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(&h->tcp));
  h->linger = std::make_unique<Timer>(h->loop, [h] { h->Close(); });
  h->linger->Start(kLinger);
}

std::unique_ptr<DetachedStream> TcpStream::Detach() {
  if (handle_ == nullptr || !handle_->accepted || handle_->closing || handle_->deferred || handle_->writing ||
      !handle_->waiting.empty())
    return nullptr;
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_->tcp), &fd) != 0) return nullptr;
  // libuv cannot give a socket away, but what it closes is its own descriptor of it.
  const int kept = dup(fd);  // not by fcntl: ThreadSanitizer would take it for whatever had that number before
  if (kept < 0) return nullptr;
  (void)fcntl(kept, F_SETFD, FD_CLOEXEC);
  std::exchange(handle_, nullptr)->Close();
  return std::make_unique<DetachedTcp>(kept);
}

void TcpStream::ReportTo(StreamUser& user) {
  if (handle_ != nullptr) handle_->user = &user;
}

namespace {

// As `ask` (uv_tcp_getpeername, uv_tcp_getsockname) says; empty if it fails.
template <class Ask>
std::string NameOf(const uv_tcp_t& tcp, Ask ask) {
  sockaddr_storage address{};
  int length = sizeof address;
  if (ask(&tcp, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
  if (address.ss_family == AF_UNIX) return "[local]";
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(length), host, sizeof host, service,
                  sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "";
  return std::string(host) + ":" + service;
}

}  // namespace

std::string TcpStream::PeerName() const { return NameOf(handle_->tcp, uv_tcp_getpeername); }
std::string TcpStream::LocalName() const { return NameOf(handle_->tcp, uv_tcp_getsockname); }

std::optional<std::uint32_t> TcpStream::LocalUser() const {
  uv_os_fd_t fd = -1;
  int domain = 0;
  socklen_t domain_size = sizeof domain;
  ucred peer{};
  socklen_t peer_size = sizeof peer;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_->tcp), &fd) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) != 0 || domain != AF_UNIX ||
      getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) != 0)
    return std::nullopt;
  return peer.uid;
}

unsigned TcpStream::Retransmissions() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_->tcp), &fd) != 0 ||
      getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return 0;
  return info.tcpi_retransmits;
}

}  // namespace waypost
