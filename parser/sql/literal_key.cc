#include "parser/sql/literal_key.h"

#include <array>
#include <cstdint>

namespace waypost {
namespace {

// Control characters never pass the scanner, so these cannot be in a text.
constexpr char kNumber = '\x01';
constexpr char kString = '\x02';

enum class Kind : std::uint8_t { kOther, kControl, kSpace, kDigit, kWord, kQuote, kDoubleQuote, kDollar, kSemicolon };

constexpr std::array<Kind, 256> MakeKinds() {
  std::array<Kind, 256> kinds{};
  for (std::size_t c = 0; c < 256; ++c) {
    if (c < 0x20 || c == 0x7F) kinds[c] = Kind::kControl;
    if (c >= '0' && c <= '9') kinds[c] = Kind::kDigit;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80) {
      kinds[c] = Kind::kWord;  // as the lexer's ident_start
    }
  }
  for (const char c : {' ', '\t', '\n', '\r', '\f'}) kinds[static_cast<unsigned char>(c)] = Kind::kSpace;
  kinds['\''] = Kind::kQuote;
  kinds['"'] = Kind::kDoubleQuote;
  kinds['$'] = Kind::kDollar;
  kinds[';'] = Kind::kSemicolon;
  return kinds;
}
constexpr std::array<Kind, 256> kKinds = MakeKinds();

Kind KindOf(char c) { return kKinds[static_cast<unsigned char>(c)]; }

constexpr std::array<bool, 256> MakeInWord() {
  std::array<bool, 256> in_word{};
  for (std::size_t c = 0; c < 256; ++c) {
    in_word[c] = kKinds[c] == Kind::kWord || kKinds[c] == Kind::kDigit || kKinds[c] == Kind::kDollar;
  }
  return in_word;
}
constexpr std::array<bool, 256> kInWord = MakeInWord();

bool StartsWithWord(std::string_view sql, std::string_view word) {
  if (sql.size() <= word.size()) return false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((sql[i] | 0x20) != word[i]) return false;
  }
  return KindOf(sql[word.size()]) == Kind::kSpace;
}

class Scanner {
 public:
  Scanner(std::string_view sql, bool backslash_is_plain, std::string& key)
      : sql_(sql), backslash_is_plain_(backslash_is_plain), key_(key) {}

  bool Run() {
    key_.clear();
    key_.reserve(sql_.size());
    while (at_ < sql_.size()) {
      if (!Token()) return false;
    }
    CopyRun(kept_ == std::string_view::npos ? at_ : kept_);
    return true;
  }

 private:
  // What is kept is copied in runs: everything since the last literal, up to `end`.
  void CopyRun(std::size_t end) { key_.append(sql_, run_, end - run_); }
  // The literal that began at `start` and ends here.
  void Replace(std::size_t start, char with) {
    CopyRun(start);
    key_ += with;
    run_ = at_;
  }

  bool Token() {
    switch (KindOf(sql_[at_])) {
      case Kind::kControl: return false;
      case Kind::kDigit: return Number();
      case Kind::kWord: return Word();
      case Kind::kQuote: return String();
      case Kind::kDoubleQuote: return Quoted();
      case Kind::kDollar: return Parameter();
      case Kind::kSemicolon: return AtEnd();
      case Kind::kSpace: ++at_; return true;
      case Kind::kOther: return Other();
    }
    return false;
  }

  char Next(std::size_t offset = 1) const { return at_ + offset < sql_.size() ? sql_[at_ + offset] : '\0'; }

  // Digits, one dot, digits, an exponent; or from the dot on. What follows must end it in every
  // version of PostgreSQL: 1a, 0x1F, 1_000 and 1..2 are read differently by some.
  bool Number() {
    const std::size_t start = at_;
    Digits();
    if (at_ < sql_.size() && sql_[at_] == '.') {
      ++at_;
      Digits();
    }
    if (at_ < sql_.size() && (sql_[at_] | 0x20) == 'e') {
      ++at_;
      if (at_ < sql_.size() && (sql_[at_] == '+' || sql_[at_] == '-')) ++at_;
      if (at_ >= sql_.size() || KindOf(sql_[at_]) != Kind::kDigit) return false;
      Digits();
    }
    if (at_ < sql_.size()) {
      const Kind next = KindOf(sql_[at_]);
      if (next == Kind::kWord || next == Kind::kDigit || next == Kind::kDollar || sql_[at_] == '.') return false;
    }
    Replace(start, kNumber);
    return true;
  }

  void Digits() {
    std::size_t end = at_;
    while (end < sql_.size() && sql_[end] >= '0' && sql_[end] <= '9') ++end;
    at_ = end;
  }

  // Names and keywords. E'', B'', X'', N'' and U&'' are words that a quote follows: another kind of
  // string.
  bool Word() {
    const std::size_t start = at_;
    std::size_t end = at_ + 1;  // not at_ itself: most of a text is words, and a member is stored for each character
    while (end < sql_.size() && kInWord[static_cast<unsigned char>(sql_[end])]) ++end;
    at_ = end;
    if (at_ >= sql_.size()) return true;
    if (KindOf(sql_[at_]) == Kind::kQuote) return false;
    return !(sql_[at_] == '&' && (sql_[start] | 0x20) == 'u' && at_ == start + 1);
  }

  bool String() {
    const std::size_t start = at_;
    for (++at_; at_ < sql_.size(); ++at_) {
      const char c = sql_[at_];
      if (c == '\\' && !backslash_is_plain_) return false;
      if (c == '\0') return false;
      if (c != '\'') continue;
      if (Next() != '\'') {
        ++at_;
        Replace(start, kString);
        return true;
      }
      ++at_;  // '' is one quote
    }
    return false;
  }

  // "name", kept as it is; its doubled quotes look like two names in a row and are kept all the
  // same.
  bool Quoted() {
    const std::size_t end = sql_.find('"', at_ + 1);
    if (end == std::string_view::npos) return false;
    for (std::size_t i = at_; i <= end; ++i) {
      if (KindOf(sql_[i]) == Kind::kControl) return false;
    }
    at_ = end + 1;
    return true;
  }

  // $1; anything else that begins with $ is a quote. A parameter directly before a name is read
  // differently by some.
  bool Parameter() {
    const std::size_t start = at_;
    ++at_;
    Digits();
    if (at_ == start + 1) return false;
    return at_ >= sql_.size() || KindOf(sql_[at_]) != Kind::kWord;
  }

  // One semicolon, and then only blanks.
  bool AtEnd() {
    kept_ = at_ + 1;
    for (++at_; at_ < sql_.size(); ++at_) {
      if (KindOf(sql_[at_]) != Kind::kSpace) return false;
    }
    return true;
  }

  bool Other() {
    const char c = sql_[at_];
    if ((c == '-' && Next() == '-') || (c == '/' && Next() == '*')) return false;
    if (c == '.' && KindOf(Next()) == Kind::kDigit) return Number();
    ++at_;
    return true;
  }

  std::string_view sql_;
  bool backslash_is_plain_;
  std::string& key_;
  std::size_t at_ = 0;
  std::size_t run_ = 0;  // where what is kept and not yet copied begins
  std::size_t kept_ = std::string_view::npos;  // blanks behind the semicolon are not kept
};

}  // namespace

bool LiteralKey(std::string_view sql, Lexing lexing, std::string& key) {
  if (!lexing.ascii_safe_encoding) return false;
  const bool plain = StartsWithWord(sql, "select") || StartsWithWord(sql, "insert") || StartsWithWord(sql, "update") ||
                     StartsWithWord(sql, "delete");
  return plain && Scanner(sql, lexing.standard_strings, key).Run();
}

}  // namespace waypost
