// Keeps the state file up to date, on a thread of its own: a disk that hangs or is full delays no fail-over for more than a
// moment. Used by the prober's thread.
#pragma once

#include <condition_variable>
#include <optional>
#include <string>

#include "core/base/service_thread.h"
#include "core/base/time.h"
#include "core/cluster/state_file.h"

namespace waypost {

class StateKeeper {
 public:
  explicit StateKeeper(StateFile file);
  ~StateKeeper() = default;  // waits for a write that is under way
  StateKeeper(const StateKeeper&) = delete;
  StateKeeper& operator=(const StateKeeper&) = delete;

  // As it is on disk now: an operator's command may have written it. Nothing while something newer is to be written.
  [[nodiscard]] std::optional<SavedState> Reread();
  // Returns when it is on disk, or after `patience`: then it is tried until it succeeds, which the log says.
  void Save(const SavedState& state, milliseconds patience);
  // What was given to Save() last is on disk.
  [[nodiscard]] bool up_to_date() const;

 private:
  void Run(ServiceThread::Lock& lock);

  // Under its guard.
  std::condition_variable written_;   // or it could not be
  StateFile file_;                    // but for the writing itself
  std::optional<SavedState> wanted_;  // not on disk yet
  bool writing_ = false;

  std::string error_;  // of the last attempt; the thread's only
  ServiceThread thread_{"waypost-state"};
};

}  // namespace waypost
