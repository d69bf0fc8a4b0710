// The process that takes the place of this one: the same program as it is on disk now, with the same arguments. It is given the
// listening sockets, says when it takes clients, and is handed the sessions one by one; what cannot go ends here. Main thread, where
// nothing else is said.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "core/net/tcp_listener.h"
#include "core/process/handover_link.h"
#include "core/session/record.h"

namespace waypost {

// How this process was started; asked before the program on disk can be another one.
struct Command {
  std::string program;
  std::vector<std::string> arguments;
};
[[nodiscard]] Command OwnCommand();

class Successor {
 public:
  // A client of its asks to cancel what may run here. Its own thread.
  using OnCancel = std::function<void(std::uint32_t pid, std::string secret)>;
  enum class State : std::uint8_t { kStarting, kReady, kFailed };

  // Starts it. The error is for the log.
  [[nodiscard]] static Result<std::unique_ptr<Successor>> Start(const Command& command,
                                                                const std::vector<std::shared_ptr<ListeningSocket>>& sockets,
                                                                OnCancel on_cancel);
  ~Successor();  // sends what it was given before; one that is not ready is ended
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // It may take the admin port.
  void ReleaseAdmin() { link_.Send(HandoverKind::kReleased); }
  // Before the first session: see Credentials::Hand().
  void HandKeys(const std::string& message) { link_.Send(HandoverKind::kKeys, message); }
  // Any thread. `fd` is given away.
  void Hand(SessionRecord record, int fd);

 private:
  Successor(int fd, pid_t pid, OnCancel on_cancel);
  void Listen();
  void SendQueued();

  HandoverLink link_;
  const pid_t pid_;
  const OnCancel on_cancel_;
  std::atomic<State> state_{State::kStarting};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<SessionRecord, int>> queue_;
  bool ending_ = false;
  std::thread listener_, sender_;
};

}  // namespace waypost
