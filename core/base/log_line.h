// What one event looks like in the log: text for people, JSON for machines. Pure.
//   text  2026-11-27T05:00:28.123Z warning server_down server=pg1 error="no answer"
//   JSON  {"time":"2026-11-27T05:00:28.123Z","level":"warning","event":"server_down","server":"pg1","error":"no answer"}
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "core/base/log.h"

namespace waypost {

// Of one text value; the rest is left out.
inline constexpr std::size_t kMaxLogTextBytes = 16 << 10;

struct LogLine {
  std::chrono::system_clock::time_point time;
  LogLevel level = LogLevel::kInfo;
  std::string_view event;
  std::span<const LogField> about, fields;  // written in this order
};

// Adds the line, with its end, to `out`. In text, values with blanks, quotes or control characters are quoted and escaped; in JSON
// what is no UTF-8 becomes U+FFFD. Fields of `about` without a value are left out.
void AppendLogLine(std::string& out, const LogLine& line, LogFormat format);

}  // namespace waypost
