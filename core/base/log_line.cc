#include "core/base/log_line.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace waypost {
namespace {

constexpr std::array kLevelNames = {"trace", "debug", "info", "warning", "error"};
constexpr char kHex[] = "0123456789abcdef";

void AppendTime(std::string& out, std::chrono::system_clock::time_point time) {
  using std::chrono::milliseconds;
  const auto since = std::chrono::floor<milliseconds>(time.time_since_epoch());
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(since).count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  out.append(text.data(), length);
  std::snprintf(text.data(), text.size(), ".%03dZ", static_cast<int>((since % std::chrono::seconds(1)).count()));
  out += text.data();
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  return false;
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (u < ' ' || u == 0x7f) {
      out += "\\x";
      out += kHex[u >> 4U];
      out += kHex[u & 15U];
    } else {
      out += c;
    }
  }
  out += '"';
}

bool IsPlain(std::string_view text) {
  for (const char c : text)
    if (c < ' ' || c == '"' || c == '\\' || c == 0x7f) return false;  // char is signed: above ASCII too
  return true;
}

void AppendJsonText(std::string& out, std::string_view text) {
  if (IsPlain(text)) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void AppendNumber(std::string& out, const LogField& field) {
  if (field.kind == LogField::Kind::kNumber) {
    out += std::to_string(field.number);
    return;
  }
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%" PRId64 ".%03d", field.number / 1000, static_cast<int>(field.number % 1000));
  out += text.data();
}

void AppendField(std::string& out, const LogField& field, LogFormat format) {
  const bool json = format == LogFormat::kJson;
  if (json) {
    out += ",\"";
    out += field.key;  // keys are written in the source
    out += "\":";
  } else {
    out += ' ';
    out += field.key;
    out += '=';
  }
  if (field.kind != LogField::Kind::kText) return AppendNumber(out, field);
  const auto text = field.text.substr(0, kMaxLogTextBytes);
  if (json) AppendJsonText(out, text);
  else if (NeedsQuotes(text)) AppendQuoted(out, text);
  else out += text;
}

}  // namespace

void AppendLogLine(std::string& out, const LogLine& line, LogFormat format) {
  const bool json = format == LogFormat::kJson;
  out += json ? "{\"time\":\"" : "";
  AppendTime(out, line.time);
  out += json ? "\",\"level\":\"" : " ";
  out += kLevelNames[static_cast<std::size_t>(line.level)];
  out += json ? "\",\"event\":\"" : " ";
  out += line.event;
  out += json ? "\"" : "";
  for (const auto& field : line.about)
    if (field.kind != LogField::Kind::kText || !field.text.empty()) AppendField(out, field, format);
  for (const auto& field : line.fields) AppendField(out, field, format);
  out += json ? "}\n" : "\n";
}

}  // namespace waypost
