#include "core/admin/lane.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace waypost {
namespace {

constexpr int kNice = 10;  // statements go before answers to administrators

}  // namespace

AdminLane::AdminLane(std::string name, std::size_t capacity, std::function<AdminResponse(const AdminRequest&)> handle)
    : name_(std::move(name)), capacity_(capacity), handle_(std::move(handle)), thread_([this] { Run(); }) {}

AdminLane::~AdminLane() { Stop(); }

bool AdminLane::Take(AdminRequest request, std::string shared_as, Done done) {
  {
    const std::scoped_lock lock(mutex_);
    if (ends_ || tasks_.size() >= capacity_) return false;
    tasks_.push_back({std::move(request), std::move(shared_as), std::move(done)});
  }
  wake_.notify_one();
  return true;
}

void AdminLane::Stop() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  const auto answer = std::make_shared<const AdminResponse>(AdminApi::Problem(503, "Stopping", "Waypost is stopping."));
  for (const auto& task : std::exchange(tasks_, {})) task.done(answer);
}

// The first that waits, and those that ask the same.
std::deque<AdminLane::Task> AdminLane::TakeEqual() {
  std::deque<Task> equal, rest;
  for (auto& task : tasks_) {
    const bool same = equal.empty() || (!task.shared_as.empty() && task.shared_as == equal.front().shared_as);
    (same ? equal : rest).push_back(std::move(task));
  }
  tasks_ = std::move(rest);
  return equal;
}

void AdminLane::Run() {
  pthread_setname_np(pthread_self(), name_.c_str());
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);  // on Linux, of this thread only
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ends_ || !tasks_.empty(); });
    if (ends_) return;
    const auto equal = TakeEqual();
    lock.unlock();
    const auto answer = std::make_shared<const AdminResponse>(handle_(equal.front().request));
    for (const auto& task : equal) task.done(answer);
    lock.lock();
  }
}

}  // namespace waypost
