#include "core/session/sql_reader.h"

#include <pthread.h>

#include <memory>
#include <utility>

namespace waypost {

SqlReader::~SqlReader() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void SqlReader::Read(std::string text, Lexing lexing) {
  {
    const std::scoped_lock lock(mutex_);
    task_ = Task{std::move(text), lexing};
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  wake_.notify_one();
}

void SqlReader::Run() {
  pthread_setname_np(pthread_self(), "waypost-sql");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ends_ || task_; });
    if (ends_) return;
    auto task = *std::exchange(task_, std::nullopt);
    lock.unlock();
    auto facts = Analyse(task.text, task.lexing);
    done_(std::make_shared<const SqlText>(SqlText{std::move(task.text), std::move(facts)}));
    lock.lock();
  }
}

}  // namespace waypost
