#include "core/uv/loop.h"

#include <uv.h>

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
