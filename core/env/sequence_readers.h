// Who was seen asking for currval() or lastval(), and when last: for some time from then on their sessions must stay where
// they took a value. Thread-safe; the lock is met when a user asks for the first time, and when the `version` has changed.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/time.h"

namespace waypost {

class SequenceReaders {
 public:
  // When sessions of one user in one database asked last. Kept by them, also past Forget().
  class Asked {
   public:
    void At(TimePoint now) { last_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }
    [[nodiscard]] bool Within(Duration span, TimePoint now) const {
      return now.time_since_epoch().count() - last_.load(std::memory_order_relaxed) < span.count();
    }

   private:
    std::atomic<Duration::rep> last_{0};
  };
  using AskedRef = std::shared_ptr<Asked>;

  AskedRef Add(const std::string& database, const std::string& user, TimePoint now) {
    const std::scoped_lock lock(mutex_);
    auto& asked = readers_[{database, user}];
    if (asked == nullptr) {
      asked = std::make_shared<Asked>();
      version_.fetch_add(1, std::memory_order_release);
    }
    asked->At(now);
    return asked;
  }
  // Null: never.
  [[nodiscard]] AskedRef Find(const std::string& database, const std::string& user) const {
    const std::scoped_lock lock(mutex_);
    const auto found = readers_.find({database, user});
    return found == readers_.end() ? nullptr : found->second;
  }
  // The database of that name is another one.
  void Forget(const std::string& database) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(readers_, [&](const auto& reader) { return reader.first.first == database; });
  }
  // Changes when Find() may find what it did not.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, AskedRef> readers_;
  std::atomic<std::uint64_t> version_{1};
};

}  // namespace waypost
