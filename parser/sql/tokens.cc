#include "parser/sql/tokens.h"

#include <algorithm>
#include <cstddef>

namespace waypost {
namespace {

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool InWord(char c) { return StartsWord(c) || IsDigit(c) || c == '$'; }

// The length of the run at `from` whose bytes all are `in`.
template <class Predicate>
std::size_t RunEnd(std::string_view text, std::size_t from, Predicate in) {
  while (from < text.size() && in(text[from])) ++from;
  return from;
}

std::size_t CommentEnd(std::string_view text) {
  if (text[0] == '-') return std::min(text.find_first_of("\n\r"), text.size());
  std::size_t depth = 1;
  std::size_t at = 2;
  while (depth > 0 && at < text.size()) {
    const auto two = text.substr(at, 2);
    if (two == "/*") ++depth;
    if (two == "*/") --depth;
    at += two == "/*" || two == "*/" ? 2 : 1;
  }
  return std::min(at, text.size());
}

std::size_t NumberEnd(std::string_view text) {
  auto at = RunEnd(text, 0, [](char c) { return InWord(c) || c == '.'; });
  // An exponent's sign.
  if (at < text.size() && (text[at] == '+' || text[at] == '-') && (text[at - 1] | 0x20) == 'e' && at + 1 < text.size() &&
      IsDigit(text[at + 1]) && !text.starts_with("0x"))
    at = RunEnd(text, at + 1, IsDigit);
  return at;
}

}  // namespace

Token Tokens::Take(Token::Kind kind, std::size_t length) {
  const Token token{kind, rest_.substr(0, length)};
  rest_.remove_prefix(length);
  return token;
}

// The end of the string whose opening quote is at `at`.
std::size_t Tokens::StringEnd(std::size_t at, bool backslashes) const {
  const char quote = rest_[at];
  for (++at; at < rest_.size(); ++at) {
    if (backslashes && rest_[at] == '\\') {
      ++at;
    } else if (rest_[at] == quote) {
      if (at + 1 >= rest_.size() || rest_[at + 1] != quote) return at + 1;
      ++at;
    }
  }
  return rest_.size();
}

// The end of a $tag$...$tag$ at the front; 0 if there is none.
std::size_t Tokens::DollarEnd() const {
  const auto close = RunEnd(rest_, 1, [](char c) { return InWord(c) && c != '$'; });
  if (close >= rest_.size() || rest_[close] != '$' || (close > 1 && IsDigit(rest_[1]))) return 0;
  const auto tag = rest_.substr(0, close + 1);
  const auto end = rest_.find(tag, tag.size());
  return end == std::string_view::npos ? rest_.size() : end + tag.size();
}

Token Tokens::Next() {
  using Kind = Token::Kind;
  if (rest_.empty()) return {};
  const char c = rest_[0];
  const char next = rest_.size() > 1 ? rest_[1] : '\0';
  if (IsBlank(c)) return Take(Kind::kBlank, RunEnd(rest_, 0, IsBlank));
  if ((c == '-' && next == '-') || (c == '/' && next == '*')) return Take(Kind::kComment, CommentEnd(rest_));
  if (c == '"') return Take(Kind::kQuoted, StringEnd(0, false));
  if (c == '\'') return Take(Kind::kString, StringEnd(0, !lexing_.standard_strings));
  if (IsDigit(c) || (c == '.' && IsDigit(next))) return Take(Kind::kNumber, NumberEnd(rest_));
  if (c == '$') {
    if (IsDigit(next)) return Take(Kind::kParameter, RunEnd(rest_, 1, IsDigit));
    if (const auto end = DollarEnd(); end != 0) return Take(Kind::kString, end);
    return Take(Kind::kOther, 1);
  }
  if (!StartsWord(c)) return Take(Kind::kOther, 1);
  const char low = static_cast<char>(c | 0x20);
  if (next == '\'' && (low == 'e' || low == 'b' || low == 'x' || low == 'n'))
    return Take(Kind::kString, StringEnd(1, low == 'e' || (low == 'n' && !lexing_.standard_strings)));
  if (low == 'u' && next == '&' && rest_.size() > 2 && (rest_[2] == '\'' || rest_[2] == '"'))
    return Take(rest_[2] == '"' ? Kind::kQuoted : Kind::kString, StringEnd(2, false));
  return Take(Kind::kWord, RunEnd(rest_, 0, InWord));
}

unsigned HighestParameter(std::string_view sql, Lexing lexing) {
  constexpr unsigned kMost = 65535;  // parameters of one statement: their count is 16 bits on the wire
  unsigned highest = 0;
  Tokens tokens(sql, lexing);
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind != Token::Kind::kParameter) continue;
    unsigned number = 0;
    for (const char digit : token.text.substr(1)) number = std::min(number * 10 + static_cast<unsigned>(digit - '0'), kMost);
    highest = std::max(highest, number);
  }
  return highest;
}

std::string WithoutLiterals(std::string_view sql, Lexing lexing, std::size_t max_bytes) {
  using Kind = Token::Kind;
  std::string text;
  bool blank = false;
  Tokens tokens(sql, lexing);
  for (Token token = tokens.Next(); token.kind != Kind::kEnd; token = tokens.Next()) {
    if (token.kind == Kind::kBlank || token.kind == Kind::kComment) {
      blank = !text.empty();
      continue;
    }
    const bool literal = token.kind == Kind::kString || token.kind == Kind::kNumber;
    const auto shown = literal ? std::string_view("?") : token.text;
    if (text.size() + shown.size() + (blank ? 1 : 0) > max_bytes) return text + "...";
    if (blank) text += ' ';
    blank = false;
    text += shown;
  }
  return text;
}

}  // namespace waypost
