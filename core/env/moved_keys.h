// Where the cancel keys lead of sessions that are on another worker than the one that gave them out. Thread-safe; met when a session
// moves or ends that has moved, and by cancel requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace waypost {

class MovedKeys {
 public:
  struct Place {
    std::size_t worker;
    std::uint32_t slot;
  };
  void Set(std::uint32_t pid, const std::string& secret, Place place) {
    const std::scoped_lock lock(mutex_);
    places_.insert_or_assign({pid, secret}, place);
  }
  void Forget(std::uint32_t pid, const std::string& secret) {
    const std::scoped_lock lock(mutex_);
    places_.erase({pid, secret});
  }
  [[nodiscard]] std::optional<Place> Find(std::uint32_t pid, const std::string& secret) const {
    const std::scoped_lock lock(mutex_);
    const auto found = places_.find({pid, secret});
    if (found == places_.end()) return std::nullopt;
    return found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::uint32_t, std::string>, Place> places_;
};

}  // namespace waypost
