#include "core/cluster/state_keeper.h"

#include <utility>

#include "core/base/log.h"

namespace waypost {
namespace {

constexpr seconds kRetryAfter{1};

}  // namespace

StateKeeper::StateKeeper(StateFile file) : file_(std::move(file)), thread_([this] { Run(); }) {}

StateKeeper::~StateKeeper() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<SavedState> StateKeeper::Reread() {
  const std::scoped_lock lock(mutex_);
  if (writing_ || wanted_) return std::nullopt;
  if (const auto read = file_.Read(); !read) {
    Log(LogLevel::kError, "state_not_read", {{"error", read.error()}});
    return std::nullopt;
  }
  return file_.saved();
}

void StateKeeper::Save(const SavedState& state, milliseconds patience) {
  std::unique_lock lock(mutex_);
  wanted_ = state;
  changed_.notify_all();
  changed_.wait_for(lock, patience, [&] { return !wanted_ && !writing_; });
}

bool StateKeeper::up_to_date() const {
  const std::scoped_lock lock(mutex_);
  return !wanted_ && !writing_;
}

void StateKeeper::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || wanted_; });
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
    changed_.notify_all();
    if (done) continue;
    changed_.wait_for(lock, kRetryAfter, [&] { return stopping_; });
    if (stopping_) return;
  }
}

}  // namespace waypost
