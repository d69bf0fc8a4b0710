// The one clock of Waypost: monotonic. Pure code takes `now` as an argument.
#pragma once

#include <chrono>

namespace waypost {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace waypost
