// Where the lines of the log go: a file that can be opened again, or standard error. Thread-safe. Bounded: what cannot be
// written is dropped and counted, and nobody who writes waits for a disk or for whoever reads a pipe, once the thread runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/time.h"

namespace waypost {

class LogWriter {
 public:
  // Lines that wait to be written; more are dropped.
  static constexpr std::size_t kMaxPendingBytes = 4 << 20;

  // Lines, since the beginning.
  struct Losses {
    std::uint64_t queue = 0;  // dropped because too many waited
    std::uint64_t write = 0;  // those that could not be written: the disk is full, the reader is gone, or takes nothing
  };

  LogWriter();  // standard error
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Lines go to the end of `file` from now on; empty: standard error. False, and nothing has changed: it cannot be opened (errno).
  [[nodiscard]] bool Open(const std::string& file);
  // `lines`: whole ones, each with its end.
  void Write(std::string_view lines);

  // From now on a thread of its own writes. Until then Write() does so itself.
  void StartThread();
  // Writes what waits, for so long at most, and ends the thread. True: all is written.
  bool StopThread(Duration patience);

  [[nodiscard]] Losses losses() const;
  // How many lines were lost since the last call, if lines can be written again; else 0.
  [[nodiscard]] std::uint64_t TakeUntold();

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);
  // The thread's too: it may outlive this, in a write that does not return.
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace waypost
