#include "core/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>

#include "core/base/log_limit.h"

namespace waypost {
namespace {

constexpr std::array kLevelNames = {"trace", "debug", "info", "warn", "error"};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  return false;
}

void AppendQuoted(std::string& line, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  line += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (u < ' ' || u == 0x7f) {
      line += "\\x";
      line += kHex[u >> 4U];
      line += kHex[u & 15U];
    } else {
      line += c;
    }
  }
  line += '"';
}

// The logger that ConfigureLog made, or one on standard error.
std::shared_ptr<spdlog::logger> Logger() {
  if (auto logger = spdlog::get("waypost")) return logger;
  auto logger = std::make_shared<spdlog::logger>("waypost", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_error_handler([](const std::string&) {});
  try {
    spdlog::register_logger(logger);
  } catch (const spdlog::spdlog_ex&) {  // another thread was first
    return spdlog::get("waypost");
  }
  return logger;
}

LogLimit& Limit() {
  static LogLimit limit;
  return limit;
}

void Write(spdlog::logger& logger, LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line(event);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (field.is_number) line += std::to_string(field.number);
    else if (NeedsQuotes(field.text)) AppendQuoted(line, field.text);
    else line += field.text;
  }
  logger.log(ToSpdlog(level), "{}", line);
  logger.flush();
}

void WriteLeftOut(spdlog::logger& logger, LogLevel level, std::string_view event, std::uint64_t lines) {
  Write(logger, level, "log_suppressed", {{"event", event}, {"suppressed", lines}});
}

}  // namespace

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const auto logger = Logger();
  if (!logger->should_log(ToSpdlog(level))) return;
  const auto left_out = Limit().Admit(level, event, Clock::now());
  if (!left_out) return;
  if (*left_out > 0) WriteLeftOut(*logger, level, event, *left_out);
  Write(*logger, level, event, fields);
}

void LogLeftOut(bool at_the_end) {
  for (const auto& kind : Limit().TakeLeftOut(at_the_end ? TimePoint::max() : Clock::now()))
    WriteLeftOut(*Logger(), kind.level, kind.event, kind.lines);
}

bool LogEnabled(LogLevel level) { return Logger()->should_log(ToSpdlog(level)); }

bool ParseLogLevel(std::string_view name, LogLevel& level) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (name != kLevelNames[i]) continue;
    level = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}

bool ConfigureLog(LogLevel level, const std::string& file) {
  if (!file.empty()) {
    try {
      auto logger = std::make_shared<spdlog::logger>("waypost", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
      logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
      logger->set_error_handler([](const std::string&) {});
      spdlog::drop("waypost");
      spdlog::register_logger(logger);
    } catch (const spdlog::spdlog_ex&) {
      return false;
    }
  }
  Logger()->set_level(ToSpdlog(level));
  return true;
}

}  // namespace waypost
