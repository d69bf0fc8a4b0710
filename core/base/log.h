// Structured logging: one line per event, `event key=value ...`. Thread-safe; hides spdlog.
// Never pass SQL literals or secrets at kInfo or above.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace waypost {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError };

// One key=value of a log line; the views need to live only for the call.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), text(v) {}
  LogField(std::string_view k, const char* v) : key(k), text(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), text(v) {}
  template <class N, class = std::enable_if_t<std::is_integral_v<N>>>
  LogField(std::string_view k, N v) : key(k), number(static_cast<std::int64_t>(v)), is_number(true) {}

  std::string_view key;
  std::string_view text;
  std::int64_t number = 0;
  bool is_number = false;
};

// Writes one line, if `level` is enabled. Values with blanks, quotes or control characters are quoted and escaped.
// A log that cannot be written (disk full, closed pipe) is dropped, never an error. Most lines of a flood are
// left out: see log_limit.h.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// True if lines of `level` are written: guard anything that costs to compute.
[[nodiscard]] bool LogEnabled(LogLevel level);

// Writes how many lines were left out of what has ceased since: "log_suppressed event=... suppressed=N". From time to time;
// any thread. `at_the_end`: also of what still goes on.
void LogLeftOut(bool at_the_end = false);

// "debug" -> kDebug and so on; false if `name` is none of trace, debug, info, warn, error.
[[nodiscard]] bool ParseLogLevel(std::string_view name, LogLevel& level);

// Sets the level and, if `file` is not empty, appends to that file instead of writing to standard error.
// False, with the log unchanged, if the file cannot be opened.
[[nodiscard]] bool ConfigureLog(LogLevel level, const std::string& file);

}  // namespace waypost
