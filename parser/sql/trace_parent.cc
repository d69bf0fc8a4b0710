#include "parser/sql/trace_parent.h"

#include <algorithm>

#include "parser/sql/tokens.h"

namespace waypost {
namespace {

constexpr std::string_view kKey = "traceparent='";
// version "-" trace "-" span "-" flags: W3C Trace Context 3.2.2
constexpr std::size_t kTraceAt = 3, kSpanAt = 36, kFlagsAt = 53, kValueBytes = 55;

bool IsHex(std::string_view digits) {
  return std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view digits) { return IsHex(digits) && digits.find_first_not_of('0') != std::string_view::npos; }

// A later version may have more behind the flags.
std::optional<TraceParent> Read(std::string_view value) {
  if (value.size() < kValueBytes) return std::nullopt;
  const auto version = value.substr(0, 2), trace = value.substr(kTraceAt, 32), span = value.substr(kSpanAt, 16),
             flags = value.substr(kFlagsAt, 2);
  const bool dashes = value[kTraceAt - 1] == '-' && value[kSpanAt - 1] == '-' && value[kFlagsAt - 1] == '-';
  const bool ends = value.size() == kValueBytes || (version != "00" && value[kValueBytes] == '-');
  if (!dashes || !ends || !IsHex(version) || version == "ff" || !IsId(trace) || !IsId(span) || !IsHex(flags)) return std::nullopt;
  TraceParent parent;
  trace.copy(parent.trace.data(), trace.size());
  span.copy(parent.span.data(), span.size());
  const char low = flags[1];
  parent.sampled = ((low <= '9' ? low - '0' : low - 'a' + 10) & 1) != 0;
  return parent;
}

std::optional<TraceParent> FindIn(std::string_view comment) {
  const auto at = comment.find(kKey);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const char before = comment[at - 1];
  if (before != ' ' && before != ',' && before != '*') return std::nullopt;
  const auto value = comment.substr(at + kKey.size());
  const auto end = value.find('\'');
  return end == std::string_view::npos ? std::nullopt : Read(value.substr(0, end));
}

}  // namespace

std::optional<TraceParent> TraceParentIn(std::string_view sql, Lexing lexing) {
  if (sql.size() > kMaxTracedTextBytes || sql.find(kKey) == std::string_view::npos) return std::nullopt;
  Tokens tokens(sql, lexing);
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind != Token::Kind::kComment || !token.text.starts_with("/*")) continue;
    if (auto parent = FindIn(token.text)) return parent;
  }
  return std::nullopt;
}

}  // namespace waypost
