// Structured logging: one line per event, with its fields, as text or JSON (log_line.h). Thread-safe; nobody who logs waits for
// a disk or a reader (log_writer.h).
// Never pass SQL literals or secrets at kInfo or above.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/base/time.h"

namespace waypost {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// One key=value of a log line; the views need to live only for the call.
struct LogField {
  enum class Kind : std::uint8_t { kText, kNumber, kMillis };

  LogField(std::string_view k, std::string_view v) : key(k), text(v) {}
  LogField(std::string_view k, const char* v) : key(k), text(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), text(v) {}
  template <class N, class = std::enable_if_t<std::is_integral_v<N>>>
  LogField(std::string_view k, N v) : key(k), number(static_cast<std::int64_t>(v)), kind(Kind::kNumber) {}
  // Written in milliseconds with three decimals; the key says so: "..._ms".
  LogField(std::string_view k, Duration v)
      : key(k), number(std::chrono::duration_cast<std::chrono::microseconds>(v).count()), kind(Kind::kMillis) {}

  std::string_view key;
  std::string_view text;
  std::int64_t number = 0;  // kMillis: in microseconds
  Kind kind = Kind::kText;
};

// Writes one line, if `level` is enabled: `about`, as far as it has values (who and where it happened), then `fields`.
// A line that cannot be written (disk full, closed pipe) is dropped and counted, never an error. Most lines of a flood are
// left out: see log_limit.h.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {},
         std::span<const LogField> about = {});

// The same, whatever level is enabled and however many come: for what somebody has asked to see.
void LogAsked(std::string_view event, std::initializer_list<LogField> fields, std::span<const LogField> about = {});

// True if lines of `level` are written: guard anything that costs to compute.
[[nodiscard]] bool LogEnabled(LogLevel level);

// Writes how many lines were left out of what has ceased since: "log_suppressed event=... suppressed=N"; and how many could not be
// written, once they can be: "log_lost lines=N". From time to time; any thread. `at_the_end`: also of what still goes on.
void LogLeftOut(bool at_the_end = false);

// "debug" -> kDebug and so on; false if `name` is none of trace, debug, info, warn, error.
[[nodiscard]] bool ParseLogLevel(std::string_view name, LogLevel& level);

// The level alone, until ConfigureLog() is called again. Any thread.
void SetLogLevel(LogLevel level);
[[nodiscard]] LogLevel CurrentLogLevel();
[[nodiscard]] std::string_view LogLevelName(LogLevel level);

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  std::string file;  // empty: standard error
};
// From now on. The file is opened again even if it is the same one: it may have been moved away. False, with the log unchanged, if
// it cannot be opened.
[[nodiscard]] bool ConfigureLog(const LogSettings& settings);

// Lines that were not written, since the process began.
struct LogLosses {
  std::uint64_t flood = 0;  // left out, as too many of one kind came
  std::uint64_t queue = 0;  // too many waited to be written
  std::uint64_t write = 0;  // they could not be written
};
[[nodiscard]] LogLosses LostLogLines();

// While it lives, a thread writes the lines. At its end it writes what waits, for a second at most. One at a time.
class LogThread {
 public:
  LogThread();
  ~LogThread();
  LogThread(const LogThread&) = delete;
  LogThread& operator=(const LogThread&) = delete;
};

}  // namespace waypost
