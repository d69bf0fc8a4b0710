// RAII over libuv: the loop with its one read buffer, timers and wake-ups. Worker thread only, but for Wakeup::Send().
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/time.h"

struct uv_loop_s;

namespace waypost {

class Loop {
 public:
  Loop();
  // For tests: it stands at `start`, and its time passes in Step() alone.
  explicit Loop(TimePoint start);
  ~Loop();  // closes what is still open
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until Stop() or until nothing is left to wait for.
  void Run();
  void Stop();
  // The loop's idea of now, taken once a turn.
  [[nodiscard]] TimePoint Now() const;
  // The clock itself.
  [[nodiscard]] TimePoint ExactNow() const { return by_hand_ ? now_ : Clock::now(); }
  // In place of Run(), of a loop that was made with a time to start at: so much time passes, each timer goes off at its time, and
  // the loop turns until nothing is left to do at once.
  void Step(Duration passes);

  [[nodiscard]] uv_loop_s* raw() { return loop_.get(); }
  // Every socket of this loop reads into it.
  [[nodiscard]] std::array<std::byte, 65'536>& read_buffer() { return *read_buffer_; }
  // What a stream around a socket makes of what was read (room for a read buffer and the longest TLS record), and of what it is to
  // send. For one call; made at first use.
  [[nodiscard]] std::array<std::byte, 98'304>& plain_buffer();
  [[nodiscard]] std::string& cipher_buffer() { return cipher_buffer_; }

 private:
  friend class Timer;
  friend class FineTimer;
  // A timer of a loop whose time passes by hand.
  struct Alarm {
    std::function<void()> callback;  // empty: the timer is gone
    TimePoint due = TimePoint::max();
    Duration repeat{0};
  };
  // nullptr: time passes by itself, and libuv has the timers.
  [[nodiscard]] Alarm* NewAlarm(const std::function<void()>& callback);
  [[nodiscard]] Alarm* NextAlarm();
  void Turn();

  std::unique_ptr<uv_loop_s> loop_;
  std::unique_ptr<std::array<std::byte, 65'536>> read_buffer_;
  std::unique_ptr<std::array<std::byte, 98'304>> plain_buffer_;
  std::string cipher_buffer_;
  const bool by_hand_;
  TimePoint now_{};  // by hand
  std::vector<std::unique_ptr<Alarm>> alarms_;
};

// Calls back after a while, once or again and again.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void Start(milliseconds first, milliseconds repeat = milliseconds{0});
  void Stop();

 private:
  struct Handle;
  Handle* handle_;
};

// Calls back once a turn, before the loop waits for something to happen.
class BeforeWait {
 public:
  BeforeWait(Loop& loop, std::function<void()> callback);
  ~BeforeWait();
  BeforeWait(const BeforeWait&) = delete;
  BeforeWait& operator=(const BeforeWait&) = delete;

 private:
  struct Handle;
  Handle* handle_;
};

// Calls back once, at a time finer than the loop's milliseconds.
class FineTimer {
 public:
  FineTimer(Loop& loop, std::function<void()> callback);
  ~FineTimer();
  FineTimer(const FineTimer&) = delete;
  FineTimer& operator=(const FineTimer&) = delete;
  // At `when`; at once if that is past. A later call replaces an earlier one.
  void StartAt(TimePoint when);
  void Stop();

 private:
  struct Handle;
  Handle* handle_;
};

// Send() from any thread makes the callback run in the loop's; several may become one.
class Wakeup {
 public:
  Wakeup(Loop& loop, std::function<void()> callback);
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  void Send();

 private:
  struct Handle;
  Handle* handle_;
};

}  // namespace waypost
