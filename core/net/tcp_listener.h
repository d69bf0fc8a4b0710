// Listens for clients, by TCP and by Unix sockets.
//
// When the process has no descriptor left, a reserve is given up for a moment so that the longest waiter hears why it is
// turned away; then the listener rests, so that nothing spins. Clients wait in the kernel's queue meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/net/loop.h"
#include "core/net/tcp.h"

namespace waypost {

// One queue of clients, from which as many loops take as watch it. Any thread; closed with its last user.
class ListeningSocket {
 public:
  // Takes `address`:`port`, and nobody is let in yet. The error is for the user: somebody else listens there, perhaps.
  [[nodiscard]] static Result<std::shared_ptr<ListeningSocket>> Bind(const std::string& address, std::uint16_t port);
  // The same by a Unix socket, the file `path` with `mode`. A file that a process left behind is replaced; one behind which somebody
  // listens, or that is no socket, is not. The file goes with this: see OwnFile().
  [[nodiscard]] static Result<std::shared_ptr<ListeningSocket>> BindLocal(const std::string& path, unsigned mode);
  // One that another process has bound, at `where`. It owns no file.
  [[nodiscard]] static std::shared_ptr<ListeningSocket> Adopt(int fd, std::string where);
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  // From now on clients come in, and wait for somebody to accept them.
  [[nodiscard]] Result<bool> Listen();
  [[nodiscard]] int fd() const { return fd_; }
  // Of a Unix socket: whether its file is removed at the end of this, if it is the one that stands there now. Main thread.
  void OwnFile(bool owns);
  [[nodiscard]] bool owns_file() const { return file_.has_value(); }
  // "address:port", as it was asked for, or the path of a Unix socket.
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  ListeningSocket(int fd, std::string where) : fd_(fd), where_(std::move(where)) {}
  // What stands at a path.
  struct FileId {
    std::uint64_t device = 0, inode = 0;
    bool operator==(const FileId&) const = default;
  };
  [[nodiscard]] static std::optional<FileId> FileAt(const std::string& path);

  const int fd_;
  const std::string where_;
  std::optional<FileId> file_;  // to be removed
};

// With the name of the listener whose clients come in by it.
struct NamedSocket {
  std::string listener;
  std::shared_ptr<ListeningSocket> socket;
};

// Accepts for one loop, in turns with those of other loops. Worker thread only.
class TcpListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<TcpStream>)>;
  // `refusal`: what is sent to those for whom there is no descriptor. It accepts nobody before Watch(true).
  [[nodiscard]] static Result<std::unique_ptr<TcpListener>> On(Loop& loop, std::shared_ptr<ListeningSocket> socket,
                                                               std::string refusal, OnAccept on_accept);
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;
  // Whether it accepts, or leaves it to the others.
  void Watch(bool accepts);

 private:
  struct Handle;
  explicit TcpListener(Handle* handle) : handle_(handle) {}
  Handle* handle_;  // freed by libuv's close callback
};

}  // namespace waypost
