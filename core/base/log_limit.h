// How many lines of one kind the log takes. Pure except for its lock: time comes in. Thread-safe.
//
// A kind is an event at a level. In each window of time its first lines are written and the others counted; the count is
// reported once, when the window is over.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/log.h"
#include "core/base/time.h"

namespace waypost {

inline constexpr milliseconds kLogWindow{10'000};
// Those who ask for debug lines want nearly all of them.
inline constexpr unsigned kLinesPerWindow = 100, kDebugLinesPerWindow = 10'000;

class LogLimit {
 public:
  struct LeftOut {
    LogLevel level;
    std::string event;
    std::uint64_t lines;
  };

  // Nothing: the line is left out, and counted. Else it is to be written, after the report that `lines` (0: no report) were
  // left out before it.
  [[nodiscard]] std::optional<std::uint64_t> Admit(LogLevel level, std::string_view event, TimePoint now);
  // The counts of those whose window is over, although no further line came.
  [[nodiscard]] std::vector<LeftOut> TakeLeftOut(TimePoint now);

 private:
  struct Window {
    TimePoint since;
    unsigned written = 0;
    std::uint64_t left_out = 0;
  };
  std::mutex mutex_;
  std::array<std::map<std::string, Window, std::less<>>, 5> windows_;  // by level
};

}  // namespace waypost
