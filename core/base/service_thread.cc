#include "core/base/service_thread.h"

#include <pthread.h>

#include <utility>

#include "core/base/check.h"

namespace waypost {
namespace {

constexpr std::size_t kMostNameBytes = 15;  // TASK_COMM_LEN without its NUL: pthread_setname_np(3)

}  // namespace

ServiceThread::ServiceThread(std::string name) : name_(std::move(name)) { WAYPOST_CHECK(name_.size() <= kMostNameBytes); }

void ServiceThread::Start(std::function<void(Lock&)> run) {
  const auto lock = guard();
  if (stopping_ || thread_.joinable()) return;
  thread_ = std::thread([this, run = std::move(run)] {
    pthread_setname_np(pthread_self(), name_.c_str());
    auto own = guard();
    run(own);
  });
}

void ServiceThread::AskToEnd() {
  {
    const auto lock = guard();
    stopping_ = true;
  }
  Wake();
}

void ServiceThread::Stop() {
  AskToEnd();
  if (thread_.joinable()) thread_.join();
}

}  // namespace waypost
