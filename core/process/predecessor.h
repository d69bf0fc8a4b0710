// The process whose place this one takes: it gives the listening sockets, then its sessions. Main thread, where nothing else is said.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/net/tcp_listener.h"
#include "core/process/handover_link.h"
#include "core/session/record.h"

namespace waypost {

// In the environment of the new process: which descriptor leads to the old one.
inline constexpr const char* kHandoverVariable = "WAYPOST_HANDOVER";
inline constexpr int kHandoverDescriptor = 3;

// Behind the path of a Unix socket: its file goes with whoever listens there.
inline const std::string kWithFile(1, '\0');

class Predecessor {
 public:
  // A session comes, with its client's socket, which is the receiver's. Its own thread.
  using OnSession = std::function<void(SessionRecord record, int fd)>;
  // See Credentials::Take(). The same thread.
  using OnKeys = std::function<void(std::string_view message)>;

  // nullptr: there is none, this process starts by itself.
  [[nodiscard]] static std::unique_ptr<Predecessor> FromEnvironment();
  explicit Predecessor(int fd) : link_(fd) {}
  ~Predecessor();
  Predecessor(const Predecessor&) = delete;
  Predecessor& operator=(const Predecessor&) = delete;

  // Takes what the old process listens on; false: it is gone.
  [[nodiscard]] bool TakeSockets();
  // The socket of "address:port", or of the path of a Unix socket; null: it had none.
  [[nodiscard]] std::shared_ptr<ListeningSocket> SocketOf(const std::string& where) const;
  // This process takes clients, and owns the files of the sockets that the old one owned: what comes from now on goes to `on_keys` and `on_session`.
  void Ready(OnKeys on_keys, OnSession on_session);
  // The admin port is free, or the old process is gone.
  [[nodiscard]] bool released() const { return released_.load(std::memory_order_acquire); }
  // Any thread: what may run in the old process is to be cancelled.
  void Cancel(std::uint32_t pid, std::string_view secret);

 private:
  void Listen(const OnKeys& on_keys, const OnSession& on_session);

  HandoverLink link_;
  std::unordered_map<std::string, std::shared_ptr<ListeningSocket>> sockets_;
  std::vector<std::shared_ptr<ListeningSocket>> with_file_;  // of those
  std::atomic<bool> released_{false};
  std::thread listener_;
};

}  // namespace waypost
