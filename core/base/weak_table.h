// Values that are shared as long as somebody holds them, found by their hash: nothing of them is kept here. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <unordered_map>

namespace waypost {

template <class T>
class WeakTable {
 public:
  using Ref = std::shared_ptr<const T>;

  // One of that `hash` for which `same` holds; null: there is none.
  template <class Same>
  [[nodiscard]] Ref Find(std::size_t hash, Same same) const {
    const auto [first, last] = values_.equal_range(hash);
    for (auto entry = first; entry != last; ++entry)
      if (auto value = entry->second.lock(); value && same(*value)) return value;
    return nullptr;
  }

  // In the place of one that is gone, so that what comes and goes has one place.
  void Keep(std::size_t hash, const Ref& value) {
    const auto gone = [](const auto& entry) { return entry.second.expired(); };
    const auto [first, last] = values_.equal_range(hash);
    if (const auto place = std::find_if(first, last, gone); place != last) {
      place->second = value;
      return;
    }
    values_.emplace(hash, value);
    if (values_.size() < sweep_at_) return;
    std::erase_if(values_, gone);
    sweep_at_ = std::max<std::size_t>(kSweepAt, values_.size() * 2);
  }

 private:
  static constexpr std::size_t kSweepAt = 1024;
  std::unordered_multimap<std::size_t, std::weak_ptr<const T>> values_;
  std::size_t sweep_at_ = kSweepAt;
};

}  // namespace waypost
