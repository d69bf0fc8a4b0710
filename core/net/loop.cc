#include "core/net/loop.h"

#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#include "core/base/check.h"

namespace waypost {

Loop::Loop()
    : loop_(std::make_unique<uv_loop_t>()), read_buffer_(std::make_unique<std::array<std::byte, 65'536>>()), by_hand_(false) {
  WAYPOST_CHECK(uv_loop_init(loop_.get()) == 0);
}

Loop::Loop(TimePoint start) : loop_(std::make_unique<uv_loop_t>()), by_hand_(true), now_(start) {
  WAYPOST_CHECK(uv_loop_init(loop_.get()) == 0);
}

Loop::~Loop() {
  uv_walk(
      loop_.get(),
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
      },
      nullptr);
  while (uv_run(loop_.get(), UV_RUN_DEFAULT) != 0) {
  }
  uv_loop_close(loop_.get());
}

std::array<std::byte, 98'304>& Loop::plain_buffer() {
  if (!plain_buffer_) plain_buffer_ = std::make_unique<std::array<std::byte, 98'304>>();
  return *plain_buffer_;
}

void Loop::Run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }
void Loop::Stop() { uv_stop(loop_.get()); }
TimePoint Loop::Now() const { return by_hand_ ? now_ : TimePoint(milliseconds(uv_now(loop_.get()))); }

void Loop::Step(Duration passes) {
  WAYPOST_CHECK(by_hand_);
  const auto until = now_ + passes;
  Turn();
  for (auto* alarm = NextAlarm(); alarm != nullptr && alarm->due <= until; alarm = NextAlarm()) {
    now_ = std::max(now_, alarm->due);
    alarm->due = alarm->repeat > Duration{0} ? now_ + alarm->repeat : TimePoint::max();
    // A copy: the timer may be destroyed inside its own callback.
    const auto callback = alarm->callback;
    callback();
    Turn();
  }
  now_ = until;
  std::erase_if(alarms_, [](const auto& alarm) { return !alarm->callback; });
}

// What one turn leaves to the next has been seen to by then.
void Loop::Turn() {
  constexpr int kTurns = 3;
  for (int i = 0; i < kTurns; ++i) uv_run(loop_.get(), UV_RUN_NOWAIT);
}

Loop::Alarm* Loop::NewAlarm(const std::function<void()>& callback) {
  if (!by_hand_) return nullptr;
  return alarms_.emplace_back(std::make_unique<Alarm>(Alarm{callback})).get();
}

Loop::Alarm* Loop::NextAlarm() {
  const auto first =
      std::min_element(alarms_.begin(), alarms_.end(), [](const auto& a, const auto& b) { return a->due < b->due; });
  return first == alarms_.end() || (*first)->due == TimePoint::max() ? nullptr : first->get();
}

struct Timer::Handle {
  uv_timer_t timer{};
  std::function<void()> callback;
  Loop& loop;
  Loop::Alarm* alarm;
};

Timer::Timer(Loop& loop, std::function<void()> callback) : handle_(new Handle{{}, callback, loop, loop.NewAlarm(callback)}) {
  if (handle_->alarm != nullptr) return;
  handle_->timer.data = handle_;
  uv_timer_init(loop.raw(), &handle_->timer);
}

Timer::~Timer() {
  if (handle_->alarm != nullptr) {
    *handle_->alarm = {};
    delete handle_;
    return;
  }
  handle_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

void Timer::Start(milliseconds first, milliseconds repeat) {
  if (auto* alarm = handle_->alarm; alarm != nullptr) {
    alarm->due = handle_->loop.Now() + first;
    alarm->repeat = repeat;
    return;
  }
  uv_timer_start(
      &handle_->timer,
      [](uv_timer_t* timer) {
        // A copy: the timer may be destroyed inside its own callback.
        const auto callback = static_cast<Handle*>(timer->data)->callback;
        if (callback) callback();
      },
      static_cast<std::uint64_t>(first.count()), static_cast<std::uint64_t>(repeat.count()));
}

void Timer::Stop() {
  if (handle_->alarm != nullptr) handle_->alarm->due = TimePoint::max();
  else uv_timer_stop(&handle_->timer);
}

struct BeforeWait::Handle {
  uv_prepare_t prepare{};
  std::function<void()> callback;
};

BeforeWait::BeforeWait(Loop& loop, std::function<void()> callback) : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->prepare.data = handle_;
  uv_prepare_init(loop.raw(), &handle_->prepare);
  uv_prepare_start(&handle_->prepare, [](uv_prepare_t* prepare) {
    const auto* handle = static_cast<Handle*>(prepare->data);
    if (handle->callback) handle->callback();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->prepare));
}

BeforeWait::~BeforeWait() {
  handle_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->prepare),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

struct FineTimer::Handle {
  uv_poll_t poll{};
  int fd = -1;
  std::function<void()> callback;
  Loop::Alarm* alarm;

  void Set(const itimerspec& spec) const { timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, nullptr); }
};

FineTimer::FineTimer(Loop& loop, std::function<void()> callback)
    : handle_(new Handle{{}, -1, callback, loop.NewAlarm(callback)}) {
  auto& h = *handle_;
  if (h.alarm != nullptr) return;
  h.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);  // std::chrono::steady_clock is this clock
  WAYPOST_CHECK(h.fd >= 0);
  h.poll.data = handle_;
  WAYPOST_CHECK(uv_poll_init(loop.raw(), &h.poll, h.fd) == 0);
  uv_poll_start(&h.poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    const auto* handle = static_cast<Handle*>(poll->data);
    std::uint64_t expired = 0;
    if (read(handle->fd, &expired, sizeof expired) == sizeof expired && handle->callback) handle->callback();
  });
}

FineTimer::~FineTimer() {
  if (handle_->alarm != nullptr) {
    *handle_->alarm = {};
    delete handle_;
    return;
  }
  handle_->callback = nullptr;
  uv_poll_stop(&handle_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), [](uv_handle_t* closed) {
    auto* handle = static_cast<Handle*>(closed->data);
    close(handle->fd);
    delete handle;
  });
}

void FineTimer::StartAt(TimePoint when) {
  if (handle_->alarm != nullptr) {
    handle_->alarm->due = when;
    return;
  }
  const auto ns = std::max<std::int64_t>(1, std::chrono::nanoseconds(when.time_since_epoch()).count());
  constexpr std::int64_t kNs = 1'000'000'000;
  handle_->Set({{0, 0}, {ns / kNs, ns % kNs}});
}

void FineTimer::Stop() {
  if (handle_->alarm != nullptr) handle_->alarm->due = TimePoint::max();
  else handle_->Set({});
}

struct Wakeup::Handle {
  uv_async_t async{};
  std::function<void()> callback;
};

Wakeup::Wakeup(Loop& loop, std::function<void()> callback) : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->async.data = handle_;
  uv_async_init(loop.raw(), &handle_->async, [](uv_async_t* async) {
    const auto* handle = static_cast<Handle*>(async->data);
    if (handle->callback) handle->callback();
  });
}

Wakeup::~Wakeup() {
  handle_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->async),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

void Wakeup::Send() { uv_async_send(&handle_->async); }

}  // namespace waypost
