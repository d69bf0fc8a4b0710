#include "core/net/loop.h"

#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#include "core/base/check.h"

namespace waypost {

Loop::Loop()
    : loop_(std::make_unique<uv_loop_t>()),
      read_buffer_(std::make_unique<std::array<std::byte, 65'536>>()) {
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

void Loop::Run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }
void Loop::Stop() { uv_stop(loop_.get()); }
TimePoint Loop::Now() const { return TimePoint(milliseconds(uv_now(loop_.get()))); }

struct Timer::Handle {
  uv_timer_t timer{};
  std::function<void()> callback;
};

Timer::Timer(Loop& loop, std::function<void()> callback) : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->timer.data = handle_;
  uv_timer_init(loop.raw(), &handle_->timer);
}

Timer::~Timer() {
  handle_->callback = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

void Timer::Start(milliseconds first, milliseconds repeat) {
  uv_timer_start(
      &handle_->timer,
      [](uv_timer_t* timer) {
        // A copy: the timer may be destroyed inside its own callback.
        const auto callback = static_cast<Handle*>(timer->data)->callback;
        if (callback) callback();
      },
      static_cast<std::uint64_t>(first.count()), static_cast<std::uint64_t>(repeat.count()));
}

void Timer::Stop() { uv_timer_stop(&handle_->timer); }

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

  void Set(const itimerspec& spec) const { timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, nullptr); }
};

FineTimer::FineTimer(Loop& loop, std::function<void()> callback) : handle_(new Handle) {
  auto& h = *handle_;
  h.callback = std::move(callback);
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
  handle_->callback = nullptr;
  uv_poll_stop(&handle_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), [](uv_handle_t* closed) {
    auto* handle = static_cast<Handle*>(closed->data);
    close(handle->fd);
    delete handle;
  });
}

void FineTimer::StartAt(TimePoint when) {
  const auto ns = std::max<std::int64_t>(1, std::chrono::nanoseconds(when.time_since_epoch()).count());
  constexpr std::int64_t kNs = 1'000'000'000;
  handle_->Set({{0, 0}, {ns / kNs, ns % kNs}});
}

void FineTimer::Stop() { handle_->Set({}); }

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
