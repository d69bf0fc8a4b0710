// What the service manager is told: systemd's notification protocol, by datagram. Without a manager that asks for it, nothing is
// sent. Main thread only.
// Source: sd_notify(3), https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"

namespace waypost {

class ServiceNotify {
 public:
  // By the environment: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID.
  // `successor`: this process takes the place of the one that the manager has started.
  explicit ServiceNotify(bool successor);
  ~ServiceNotify();
  ServiceNotify(const ServiceNotify&) = delete;
  ServiceNotify& operator=(const ServiceNotify&) = delete;

  // It serves, and is the one to be watched; also the end of what Reloading() began.
  void Ready(std::string_view status);
  void Reloading();
  // How it goes; nothing else changes.
  void Status(std::string_view status);
  // It ends, within `longest`.
  void Stopping(Duration longest, std::string_view status);
  // How often Alive() is expected; nothing: never.
  [[nodiscard]] std::optional<Duration> watchdog() const { return watchdog_; }
  void Alive();

 private:
  void Send(const std::string& state) const;

  std::string address_;  // of the manager's socket; empty: nobody asks
  int socket_ = -1;
  std::optional<Duration> watchdog_;
};

// Whether all workers go on: each is given a task, and has done the last one when the next is due. Main thread only, but for the
// tasks.
class Pulse {
 public:
  // Posts a task to each worker.
  using Post = std::function<void(std::size_t worker, std::function<void()> task)>;
  Pulse(std::size_t workers, Post post) : beats_(workers), post_(std::move(post)) {
    for (auto& beat : beats_) beat = std::make_shared<std::atomic<bool>>(true);
  }

  // True: every worker has done the task that it got last time. Those get another one.
  [[nodiscard]] bool Take();

 private:
  std::vector<std::shared_ptr<std::atomic<bool>>> beats_;
  Post post_;
};

}  // namespace waypost
