// When the batch at hand is ended if it still runs, and whether anybody looks at the clock for it. Pure; its session's.
//
// Whoever looks is asked to once (Watch) and goes on looking until told not to (Looked): a batch that ends leaves it looking, and the
// next one need not ask.
#pragma once

#include <algorithm>
#include <utility>

#include "core/base/time.h"

namespace waypost {

class Deadline {
 public:
  // No later than `at`.
  void Limit(TimePoint at) { at_ = std::min(at_, at); }
  // At `at`, and not before.
  void Postpone(TimePoint at) { at_ = at; }
  // The batch has ended.
  void Clear() { at_ = TimePoint::max(); }

  [[nodiscard]] bool set() const { return at_ != TimePoint::max(); }
  [[nodiscard]] bool Passed(TimePoint now) const { return now >= at_; }

  // Somebody is to look from now on. True: nobody does yet.
  [[nodiscard]] bool Watch() { return !std::exchange(watched_, true); }
  // To who looks: `again`, or no more.
  bool Looked(bool again) { return watched_ = again; }

 private:
  TimePoint at_ = TimePoint::max();
  bool watched_ = false;
};

}  // namespace waypost
