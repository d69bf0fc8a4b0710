#include "core/base/service_thread.h"

#include <pthread.h>

#include <array>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <future>
#include <string>

namespace waypost {
namespace {

// Takes what it is given, one after another, as the services do.
class Taker {
 public:
  ~Taker() { thread_.Stop(); }
  void Start() {
    thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
  }
  void Give(int one) {
    {
      const auto lock = thread_.guard();
      given_.push_back(one);
    }
    thread_.Wake();
  }
  void AwaitTaken(std::size_t count) {
    auto lock = thread_.guard();
    took_.wait(lock, [&] { return taken_.size() == count; });
  }
  void Stop() { thread_.Stop(); }
  void AskToEnd() { thread_.AskToEnd(); }
  [[nodiscard]] std::deque<int> taken() const {
    const auto lock = thread_.guard();
    return taken_;
  }
  [[nodiscard]] int runs() const {
    const auto lock = thread_.guard();
    return runs_;
  }
  [[nodiscard]] std::string name() const {
    const auto lock = thread_.guard();
    return name_;
  }

 private:
  void Run(ServiceThread::Lock& lock) {
    ++runs_;
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    name_ = name.data();
    for (;;) {
      thread_.Sleep(lock, [this] { return !given_.empty(); });
      if (thread_.stopping()) return;
      taken_.push_back(given_.front());
      given_.pop_front();
      took_.notify_all();
    }
  }

  std::deque<int> given_, taken_;
  std::condition_variable took_;
  int runs_ = 0;
  std::string name_;
  ServiceThread thread_{"waypost-test"};
};

}  // namespace

TEST_CASE("a service thread sleeps until there is something to do", "[core][service_thread]") {
  Taker taker;
  taker.Give(1);  // before it runs
  taker.Start();
  taker.AwaitTaken(1);
  taker.Give(2);
  taker.Give(3);
  taker.AwaitTaken(3);
  CHECK(taker.taken() == std::deque<int>{1, 2, 3});
  CHECK(taker.name() == "waypost-test");
}

TEST_CASE("a service thread runs once, however often it is started", "[core][service_thread]") {
  Taker taker;
  taker.Start();
  taker.Start();
  taker.Give(1);
  taker.AwaitTaken(1);
  CHECK(taker.runs() == 1);
  taker.Stop();
  taker.Stop();
  taker.Start();
  taker.Stop();
  CHECK(taker.runs() == 1);
}

TEST_CASE("a service thread that was asked to end before its start never runs", "[core][service_thread]") {
  Taker taker;
  taker.AskToEnd();
  taker.Start();
  taker.Give(1);
  taker.Stop();
  CHECK(taker.runs() == 0);
}

TEST_CASE("a sleep ends when its time has passed, though nothing is due", "[core][service_thread]") {
  ServiceThread thread("waypost-test");
  std::promise<void> slept;
  thread.Start([&](ServiceThread::Lock& lock) {
    thread.SleepFor(lock, milliseconds(1), [] { return false; });
    thread.Doze(lock, milliseconds(1));
    slept.set_value();
  });
  slept.get_future().wait();
  CHECK_FALSE(thread.stopping());
}

TEST_CASE("the end of a service thread cuts its sleep short", "[core][service_thread]") {
  ServiceThread thread("waypost-test");
  bool ended = false;
  thread.Start([&](ServiceThread::Lock& lock) {
    thread.SleepFor(lock, std::chrono::hours(1), [] { return false; });
    ended = thread.stopping();
  });
  thread.Stop();
  CHECK(ended);
}

}  // namespace waypost
