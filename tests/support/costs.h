// What work costs as its input grows. Deterministic enough for CI: processor time of this thread, the least of some runs,
// with a margin that a linear cost never needs and a quadratic one does not get by with.
#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>

namespace waypost {

struct Costs {
  std::array<std::chrono::nanoseconds, 3> times{};  // at n, 2n, 4n

  // Twice as much is twice the work, and never more than three times; below `kFloor` the clock says nothing.
  [[nodiscard]] bool Linear() const {
    constexpr std::chrono::milliseconds kFloor{20};
    return times[1] <= times[0] * 3 + kFloor && times[2] <= times[1] * 3 + kFloor;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Costs& costs) {
  for (const auto time : costs.times) out << std::chrono::duration_cast<std::chrono::microseconds>(time).count() << " us ";
  return out;
}

// `what`, so many times.
inline std::string Times(std::size_t n, std::string_view what) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += what;
  return all;
}

inline std::chrono::nanoseconds ThreadTime() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// `work(n)` makes its own input of size n. Choose `n` such that four times as much takes some milliseconds if it is linear,
// and far more than a second if it is not.
template <class Work>
Costs CostsOf(std::size_t n, Work work) {
  constexpr int kRuns = 3;
  Costs costs;
  for (std::size_t i = 0; i < costs.times.size(); ++i) {
    auto least = std::chrono::nanoseconds::max();
    for (int run = 0; run < kRuns; ++run) {
      const auto begin = ThreadTime();
      work(n << i);
      least = std::min(least, ThreadTime() - begin);
    }
    costs.times[i] = least;
  }
  return costs;
}

}  // namespace waypost
