#include "parser/sql/hints.h"

#include <array>
#include <utility>

#include "core/base/ascii.h"
#include "parser/sql/tokens.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxValueBytes = 63;

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool InWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Cuts a word off the front of `text`, and the blanks before it.
std::string_view TakeWord(std::string_view& text) {
  text = Trimmed(text);
  std::size_t end = 0;
  while (end < text.size() && InWord(text[end])) ++end;
  const auto word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// "key: value" pairs, separated by blanks or commas, and nothing else: prose that contains a colon is no hint.
std::string ValueIn(std::string_view comment) {
  std::string found;
  for (auto rest = Trimmed(comment); !rest.empty();) {
    const auto key = AsciiLower(TakeWord(rest));
    rest = Trimmed(rest);
    if (key.empty() || !rest.starts_with(':')) return {};
    rest.remove_prefix(1);
    const auto value = AsciiLower(TakeWord(rest));
    if (value.empty() || value.size() > kMaxValueBytes) return {};
    const bool role = key == "pgdog_role" && (value == "primary" || value == "replica");
    if (found.empty() && (role || key == "waypost")) found = value;
    rest = Trimmed(rest);
    if (rest.starts_with(',')) rest.remove_prefix(1);
    rest = Trimmed(rest);
  }
  return found;
}

// The inside of a /* */; empty for -- and for what is not ended.
std::string_view Inside(std::string_view comment) {
  constexpr std::size_t kMarks = 4;
  if (!comment.starts_with("/*") || comment.size() < kMarks || !comment.ends_with("*/")) return {};
  return comment.substr(2, comment.size() - kMarks);
}

bool Separates(const Token& token) { return token.kind == Token::Kind::kBlank || token.text == ";"; }

}  // namespace

std::string HintIn(std::string_view sql, Lexing lexing) {
  if (sql.find("/*") == std::string_view::npos) return {};
  Tokens tokens(sql, lexing);
  std::string behind;  // in the comments since the last word
  bool before = true;  // no word yet
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (Separates(token)) continue;
    if (token.kind != Token::Kind::kComment) {
      before = false;
      behind.clear();
      continue;
    }
    const auto inside = Inside(token.text);
    if (before && AsciiLower(Trimmed(inside)) == "no load balance") return "primary";
    auto value = ValueIn(inside);
    if (before && !value.empty()) return value;
    if (behind.empty()) behind = std::move(value);
  }
  return behind;
}

Hint HintOf(std::string_view value) {
  constexpr std::array<std::pair<std::string_view, Hint>, 6> kValues = {{{"", Hint::kNone},
                                                                         {"primary", Hint::kPrimary},
                                                                         {"replica", Hint::kReplica},
                                                                         {"strict", Hint::kStrict},
                                                                         {"bounded", Hint::kBounded},
                                                                         {"eventual", Hint::kEventual}}};
  for (const auto& [name, hint] : kValues)
    if (name == value) return hint;
  return Hint::kOther;
}

}  // namespace waypost
