// A thread with a short queue of requests that may take time, so that none of them keeps the thread of the HTTP server. Equal
// questions that wait share one answer, which is made after the last of them came.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/admin/api.h"

namespace waypost {

class AdminLane {
 public:
  using Done = std::function<void(std::shared_ptr<const AdminResponse>)>;

  // `name`: of the thread, at most 15 characters. `handle` is called on it, at a low priority.
  AdminLane(std::string name, std::size_t capacity, std::function<AdminResponse(const AdminRequest&)> handle);
  ~AdminLane();  // stops
  AdminLane(const AdminLane&) = delete;
  AdminLane& operator=(const AdminLane&) = delete;

  // False: too many wait, or it has stopped; `done` is never called. Otherwise it is called once, on the lane's thread or by
  // Stop(). `shared_as`: requests with the same text are the same question; empty: never. Any thread.
  [[nodiscard]] bool Take(AdminRequest request, std::string shared_as, Done done);
  // What is being answered is; who still waits gets 503. Harmless if it has stopped.
  void Stop();

 private:
  struct Task {
    AdminRequest request;
    std::string shared_as;
    Done done;
  };
  void Run();
  [[nodiscard]] std::deque<Task> TakeEqual();

  const std::string name_;
  const std::size_t capacity_;
  const std::function<AdminResponse(const AdminRequest&)> handle_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace waypost
