#include "core/cluster/state_keeper.h"

#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

constexpr seconds kRetryAfter{1};

}  // namespace

StateKeeper::StateKeeper(StateFile file) : file_(std::move(file)) {
  thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
}

std::optional<SavedState> StateKeeper::Reread() {
  const auto lock = thread_.guard();
  if (writing_ || wanted_) return std::nullopt;
  if (const auto read = file_.Read(); !read) {
    Log(LogLevel::kError, "state_not_read", {{"error", read.error()}});
    return std::nullopt;
  }
  return file_.saved();
}

void StateKeeper::Save(const SavedState& state, milliseconds patience) {
  auto lock = thread_.guard();
  wanted_ = state;
  thread_.Wake();
  written_.wait_for(lock, patience, [&] { return !wanted_ && !writing_; });
}

bool StateKeeper::up_to_date() const {
  const auto lock = thread_.guard();
  return !wanted_ && !writing_;
}

void StateKeeper::Run(ServiceThread::Lock& lock) {
  for (;;) {
    thread_.Sleep(lock, [this] { return wanted_.has_value(); });
    if (!wanted_) return;
    const auto state = *std::exchange(wanted_, std::nullopt);
    writing_ = true;
    lock.unlock();
    const auto done = file_.Save(state);
    const auto error = done ? std::string() : done.error();
    if (error != error_ && !error.empty()) Log(LogLevel::kError, "state_not_saved", {{"error", error}});
    if (error.empty() && !error_.empty()) Log(LogLevel::kInfo, "state_saved");
    error_ = error;
    lock.lock();
    writing_ = false;
    if (!done && !wanted_) wanted_ = state;
    written_.notify_all();
    if (done) continue;
    thread_.SleepFor(lock, kRetryAfter, [] { return false; });
    if (thread_.stopping()) return;
  }
}

}  // namespace waypost
