// A thread for one service that blocks (a disk, a collector, libpq) or takes long: how it starts, sleeps, is woken and ends. What the
// service shares with those who use it stands under guard(). Declare it last in its owner, so that it ends before what it uses.
//
//   created --Start--> runs --AskToEnd, Stop--> stopping() --> `run` returns --Stop--> joined
//
// One that was asked to end does not start any more.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "core/base/time.h"

namespace waypost {

class ServiceThread {
 public:
  using Lock = std::unique_lock<std::mutex>;

  // `name`: for those who look at the process; 15 bytes at most.
  explicit ServiceThread(std::string name);
  ~ServiceThread() { Stop(); }
  ServiceThread(const ServiceThread&) = delete;
  ServiceThread& operator=(const ServiceThread&) = delete;

  // Any thread. Nobody else has it as long as the lock lives; not to be held while it is started, asked to end, or stopped.
  [[nodiscard]] Lock guard() const { return Lock(mutex_); }

  // Any thread. `run` is called once, on the thread, with guard() held, which it lets go for what takes long; it is to return once
  // stopping(). Nothing happens if the thread runs already, or was asked to end.
  void Start(std::function<void(Lock&)> run);
  // Any thread: what is slept for may have come. It need not hold the lock, but has changed under it what due() looks at.
  void Wake() { wake_.notify_all(); }
  // Any thread. Ends it soon; does not wait.
  void AskToEnd();
  // AskToEnd(), and waits for it. One thread only, and not this one.
  void Stop();
  // It was asked to end. Any thread; changes under the lock.
  [[nodiscard]] bool stopping() const { return stopping_; }

  // On the thread. The lock is let go while it sleeps: until due(), or until it is to end.
  template <class Due>
  void Sleep(Lock& lock, Due due) {
    wake_.wait(lock, [&] { return stopping_ || due(); });
  }
  // The same, for `longest` at most.
  template <class Due>
  void SleepFor(Lock& lock, Duration longest, Due due) {
    wake_.wait_for(lock, longest, [&] { return stopping_ || due(); });
  }
  // Until it is woken by anybody, for whatever, or for no reason at all; for `longest` at most. Does not sleep if it is to end.
  void Doze(Lock& lock, Duration longest) {
    if (!stopping_) wake_.wait_for(lock, longest);
  }

 private:
  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace waypost
