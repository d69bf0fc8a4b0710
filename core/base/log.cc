#include "core/base/log.h"

#include <array>
#include <atomic>

#include "core/base/log_limit.h"
#include "core/base/log_line.h"
#include "core/base/log_writer.h"

namespace waypost {
namespace {

constexpr std::array<std::string_view, 5> kLevelNames = {"trace", "debug", "info", "warn", "error"};
constexpr Duration kEndPatience = std::chrono::seconds(1);

// Of the process, and never destroyed: somebody may log to the very end.
struct ProcessLog {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  std::atomic<LogFormat> format{LogFormat::kText};
  std::atomic<std::uint64_t> left_out{0};
  LogLimit limit;
  LogWriter writer;
};

ProcessLog& TheLog() {
  static auto& log = *new ProcessLog;
  return log;
}

void Write(LogLevel level, std::string_view event, std::span<const LogField> fields, std::span<const LogField> about = {}) {
  thread_local std::string line;
  line.clear();
  auto& log = TheLog();
  AppendLogLine(line,
                {.time = std::chrono::system_clock::now(), .level = level, .event = event, .about = about, .fields = fields},
                log.format.load(std::memory_order_relaxed));
  log.writer.Write(line);
}

void WriteLeftOut(LogLevel level, std::string_view event, std::uint64_t lines) {
  const std::array<LogField, 2> fields = {{{"event", event}, {"suppressed", lines}}};
  Write(level, "log_suppressed", fields);
}

}  // namespace

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields, std::span<const LogField> about) {
  if (!LogEnabled(level)) return;
  auto& log = TheLog();
  const auto left_out = log.limit.Admit(level, event, Clock::now());
  if (!left_out) {
    log.left_out.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (*left_out > 0) WriteLeftOut(level, event, *left_out);
  Write(level, event, {fields.begin(), fields.size()}, about);
}

void LogAsked(std::string_view event, std::initializer_list<LogField> fields, std::span<const LogField> about) {
  Write(LogLevel::kInfo, event, {fields.begin(), fields.size()}, about);
}

void LogLeftOut(bool at_the_end) {
  auto& log = TheLog();
  for (const auto& kind : log.limit.TakeLeftOut(at_the_end ? TimePoint::max() : Clock::now()))
    WriteLeftOut(kind.level, kind.event, kind.lines);
  if (const auto lines = log.writer.TakeUntold(); lines > 0) Log(LogLevel::kWarn, "log_lost", {{"lines", lines}});
}

bool LogEnabled(LogLevel level) { return level >= CurrentLogLevel(); }

LogLevel CurrentLogLevel() { return TheLog().level.load(std::memory_order_relaxed); }

void SetLogLevel(LogLevel level) { TheLog().level.store(level, std::memory_order_relaxed); }

std::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<std::size_t>(level)]; }

bool ParseLogLevel(std::string_view name, LogLevel& level) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (name != kLevelNames[i]) continue;
    level = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}

bool ConfigureLog(const LogSettings& settings) {
  auto& log = TheLog();
  if (!log.writer.Open(settings.file)) return false;
  SetLogLevel(settings.level);
  log.format.store(settings.format, std::memory_order_relaxed);
  return true;
}

LogLosses LostLogLines() {
  auto& log = TheLog();
  const auto losses = log.writer.losses();
  return {.flood = log.left_out.load(std::memory_order_relaxed), .queue = losses.queue, .write = losses.write};
}

LogThread::LogThread() { TheLog().writer.StartThread(); }

LogThread::~LogThread() { TheLog().writer.StopThread(kEndPatience); }

}  // namespace waypost
