#include "routing/standby_names.h"

#include <algorithm>
#include <charconv>

#include "core/base/ascii.h"

namespace waypost {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return AsciiLower(x) == AsciiLower(y); });
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameByte(char c) {
  const char lower = AsciiLower(c);
  return (lower >= 'a' && lower <= 'z') || c == '_' || c == '$' || IsDigit(c) || static_cast<unsigned char>(c) >= 0x80;
}

struct Token {
  enum class Kind { kName, kNumber, kPunctuation, kEnd, kBad } kind = Kind::kEnd;
  std::string text;
  bool quoted = false;
};

class Tokens {
 public:
  explicit Tokens(std::string_view text) : rest_(text) { Advance(); }
  [[nodiscard]] const Token& head() const { return head_; }
  [[nodiscard]] bool Is(char c) const { return head_.kind == Token::Kind::kPunctuation && head_.text[0] == c; }
  [[nodiscard]] bool IsWord(std::string_view word) const {
    return head_.kind == Token::Kind::kName && !head_.quoted && SameName(head_.text, word);
  }

  void Advance() {
    while (!rest_.empty() && std::string_view(" \t\n\r\f\v").find(rest_[0]) != std::string_view::npos) rest_.remove_prefix(1);
    head_ = Token{};
    if (rest_.empty()) return;
    if (rest_[0] == '"') {
      Quoted();
    } else if (rest_[0] == '*') {
      Take(Token::Kind::kName, 1);
    } else if (IsNameByte(rest_[0]) && rest_[0] != '$') {
      std::size_t length = 1;
      const bool number = IsDigit(rest_[0]);
      while (length < rest_.size() && (number ? IsDigit(rest_[length]) : IsNameByte(rest_[length]))) ++length;
      Take(number ? Token::Kind::kNumber : Token::Kind::kName, length);
    } else {
      Take(std::string_view("(),").find(rest_[0]) != std::string_view::npos ? Token::Kind::kPunctuation : Token::Kind::kBad, 1);
    }
  }

 private:
  void Take(Token::Kind kind, std::size_t length) {
    head_ = {kind, std::string(rest_.substr(0, length)), false};
    rest_.remove_prefix(length);
  }
  void Quoted() {
    head_ = {Token::Kind::kName, "", true};
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const bool quote = rest_[0] == '"';
      if (quote && (rest_.size() < 2 || rest_[1] != '"')) {
        rest_.remove_prefix(1);
        if (head_.text.empty()) head_.kind = Token::Kind::kBad;
        return;
      }
      head_.text += rest_[0];
      rest_.remove_prefix(quote ? 2 : 1);
    }
    head_.kind = Token::Kind::kBad;
  }

  std::string_view rest_;
  Token head_;
};

bool ReadList(Tokens& tokens, std::vector<std::string>& names) {
  while (true) {
    const auto kind = tokens.head().kind;
    if (kind != Token::Kind::kName && kind != Token::Kind::kNumber) return false;
    names.push_back(tokens.head().text);
    tokens.Advance();
    if (!tokens.Is(',')) return true;
    tokens.Advance();
  }
}

// "n (a, b)" behind ANY or FIRST.
bool ReadCounted(Tokens& tokens, StandbyNames& result) {
  const std::string digits = tokens.head().text;
  if (tokens.head().kind != Token::Kind::kNumber) return false;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.count);
  if (error != std::errc{} || result.count == 0) return false;
  tokens.Advance();
  if (!tokens.Is('(')) return false;
  tokens.Advance();
  if (!ReadList(tokens, result.names) || !tokens.Is(')')) return false;
  tokens.Advance();
  return true;
}

bool Read(Tokens& tokens, StandbyNames& result) {
  result.quorum = tokens.IsWord("any");
  if (result.quorum || tokens.IsWord("first")) {
    tokens.Advance();
    return ReadCounted(tokens, result);
  }
  if (tokens.head().kind == Token::Kind::kNumber) {
    Tokens counted = tokens;
    if (ReadCounted(counted, result)) {
      tokens = counted;
      return true;
    }
    result.names.clear();
  }
  result.count = 1;
  return ReadList(tokens, result.names);
}

// Where the value of the last option of that name begins ("keyword="); npos: there is none.
std::size_t BehindOption(std::string_view conninfo, std::string_view option) {
  for (auto at = conninfo.rfind(option); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : conninfo.rfind(option, at - 1))
    if (at == 0 || conninfo[at - 1] == ' ') return at + option.size();
  return std::string_view::npos;
}

std::string_view UpToNextOption(std::string_view value) {
  for (auto blank = value.find(' '); blank != std::string_view::npos; blank = value.find(' ', blank + 1)) {
    auto end = blank + 1;
    while (end < value.size() && IsNameByte(value[end])) ++end;
    if (end > blank + 1 && end < value.size() && value[end] == '=') return value.substr(0, blank);
  }
  return value;
}

// As the server cuts it.
std::string Shortened(std::string_view name) {
  constexpr std::size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1
  return std::string(name.substr(0, kMaxNameBytes));
}

}  // namespace

bool StandbyNames::AllConfirm() const {
  return count >= names.size() && count > 0 && std::find(names.begin(), names.end(), "*") == names.end();
}

bool StandbyNames::Lists(std::string_view application_name) const {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name == "*" || SameName(name, application_name); });
}

std::optional<StandbyNames> ParseStandbyNames(std::string_view text) {
  Tokens tokens(text);
  StandbyNames result;
  if (tokens.head().kind == Token::Kind::kEnd) return result;
  if (!Read(tokens, result) || tokens.head().kind != Token::Kind::kEnd) return std::nullopt;
  return result;
}

std::string StandbyNameIn(std::string_view conninfo) {
  constexpr std::string_view kName = "application_name=";
  constexpr std::string_view kFallback = "fallback_application_name=";
  const auto fallback = BehindOption(conninfo, kFallback);
  // A value may hold blanks, and even what looks like an option. libpq lists the fallback, which a
  // WAL receiver always sets, right behind the name: so it ends the name.
  if (fallback != std::string_view::npos && fallback > kFallback.size()) {
    const auto before = conninfo.substr(0, fallback - kFallback.size() - 1);
    if (const auto name = BehindOption(before, kName); name != std::string_view::npos) return Shortened(before.substr(name));
  }
  if (const auto name = BehindOption(conninfo, kName); name != std::string_view::npos)
    return Shortened(UpToNextOption(conninfo.substr(name)));
  if (fallback == std::string_view::npos) return "";
  return Shortened(UpToNextOption(conninfo.substr(fallback)));
}

}  // namespace waypost
