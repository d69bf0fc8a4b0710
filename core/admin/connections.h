// The connections to the admin port: how many there may be, how long each may take, and who gives way. Nobody who is silent,
// drips a request or does not read an answer keeps anybody else out. Thread-safe; makes no system call by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/time.h"

namespace waypost {

struct AdminPeer {
  std::string address;  // without a port; empty: the Unix socket
  std::string name;     // for people: "127.0.0.1:40000", or "unix uid=0"
  bool loopback = false;
  std::optional<std::uint32_t> uid = {};  // of the Unix socket's peer
};

// What a connection waits for.
enum class AdminPhase : std::uint8_t {
  kConnected,  // its first request
  kIdle,       // another one, after an answer
  kBody,       // the rest of a request whose head has come
  kServing,    // our answer
  kWriting,    // that the peer reads our answer
  kStreaming,  // what happens next: it is sent events
};

class AdminConnections {
 public:
  // At most `limit` at once, three quarters of them from one address. `end` is called for a socket that must end; it stays open
  // until Close() returns. It must not call back.
  AdminConnections(std::size_t limit, std::function<void(int socket)> end) : limit_(limit), end_(std::move(end)) {}

  // A new connection. If there are too many, one that is not being served gives way: the one that has been in its phase longest,
  // and readers of answers only if nobody is silent. False: all are being served.
  [[nodiscard]] bool Open(int socket, AdminPeer peer, TimePoint now);
  void Enter(int socket, AdminPhase phase, TimePoint now);
  // `socket` is about to be closed, by whoever.
  void Close(int socket);
  // Ends those that have taken longer than their phase may.
  void EndLate(TimePoint now);

  [[nodiscard]] AdminPeer PeerOf(int socket) const;
  // Also those that were told to end, and are not closed yet.
  [[nodiscard]] std::size_t open() const;
  [[nodiscard]] std::size_t limit() const { return limit_; }

 private:
  struct Connection {
    AdminPeer peer;
    AdminPhase phase = AdminPhase::kConnected;
    TimePoint since{};
    bool ended = false;
  };
  void End(int socket, Connection& connection);
  [[nodiscard]] bool MakeRoom(const std::string* address);

  const std::size_t limit_;
  const std::function<void(int)> end_;
  mutable std::mutex mutex_;
  std::map<int, Connection> connections_;  // by socket
  std::size_t ended_ = 0;
};

}  // namespace waypost
