// PL/pgSQL bodies by their tokens. A grammar would say more, but the one at hand (libpg_query's
// PL/pgSQL parser) redirects the process's stderr while it runs, aborts on some texts and refuses
// assignments to fields of a row; and what is wanted is only a superset of the names.
//
// Why it is a superset: a function is called by a word before "(", as a field of a row, by an
// operator, a cast or an assignment to a type; a relation and a type are words. What runs without
// being named (comparisons behind IN, CASE, JOIN ... USING) is added to every body. A statement
// begins where PL/pgSQL lets one begin, and with one of the words below, or it is an assignment.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/ascii.h"
#include "parser/catalog/function_body.h"

namespace waypost {
namespace {

enum class Kind : std::uint8_t { kEnd, kBad, kWord, kQuoted, kOperator, kString, kOther };

struct Token {
  Kind kind = Kind::kEnd;
  std::string text;  // kWord: folded; kQuoted: as it is; kOperator, kOther: the characters
  bool escaped = false;  // kString: E'...'
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool IsOperatorCharacter(char c) { return std::string_view("~!@#^&|`?+-*/%<>=").find(c) != std::string_view::npos; }

// The lexical rules of PostgreSQL, with standard_conforming_strings on.
// Source: https://www.postgresql.org/docs/15/sql-syntax-lexical.html
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  Token Next() {
    if (!SkipBlanks()) return {.kind = Kind::kBad, .text = {}};
    if (at_ == text_.size()) return {};
    const char c = text_[at_];
    if (StartsWord(c)) return Word();
    if (IsDigit(c)) return Number();
    if (c == '\'') return String(false);
    if (c == '"') return Quoted();
    if (c == '$') return Dollar();
    if (IsOperatorCharacter(c)) return Operator();
    if (text_.substr(at_, 2) == ":=" || text_.substr(at_, 2) == "::" || text_.substr(at_, 2) == "..") {
      return Take(Kind::kOther, 2);
    }
    return Take(Kind::kOther, 1);
  }

  // At the very start PL/pgSQL takes lines like "#variable_conflict use_column".
  void SkipOptions() {
    while (SkipBlanks() && at_ < text_.size() && text_[at_] == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    }
  }

 private:
  Token Take(Kind kind, std::size_t size) {
    Token token{.kind = kind, .text = std::string(text_.substr(at_, size))};
    at_ += size;
    return token;
  }
  static Token Bad() { return {.kind = Kind::kBad, .text = {}}; }

  // False: a comment does not end.
  bool SkipBlanks() {
    for (;;) {
      while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
      if (text_.substr(at_, 2) == "--") {
        at_ = std::min(text_.find_first_of("\n\r", at_), text_.size());
      } else if (text_.substr(at_, 2) == "/*") {
        if (!SkipComment()) return false;
      } else {
        return true;
      }
    }
  }

  bool SkipComment() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      if (text_.substr(at_, 2) == "/*") {
        ++depth;
        at_ += 2;
      } else if (text_.substr(at_, 2) == "*/") {
        at_ += 2;
        if (--depth == 0) return true;
      } else {
        ++at_;
      }
    }
    return false;
  }

  Token Word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && (StartsWord(text_[at_]) || IsDigit(text_[at_]) || text_[at_] == '$')) {
      ++at_;
    }
    std::string word = AsciiLower(text_.substr(start, at_ - start));
    const char next = at_ < text_.size() ? text_[at_] : '\0';
    if (next == '\'' && word == "e") return String(true);
    if (next == '\'' && (word == "b" || word == "x" || word == "n")) return String(false);
    if (next == '&' && word == "u" && at_ + 1 < text_.size()) {
      if (text_[at_ + 1] == '"') return Bad();  // a name in escapes
      if (text_[at_ + 1] == '\'') {
        ++at_;
        return String(false);
      }
    }
    return {.kind = Kind::kWord, .text = std::move(word)};
  }

  Token Number() {
    const std::size_t start = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    if (at_ < text_.size() && text_[at_] == '.' && text_.substr(at_, 2) != "..") {
      ++at_;
      while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    }
    return {.kind = Kind::kOther, .text = std::string(text_.substr(start, at_ - start))};
  }

  Token String(bool escapes) {
    for (++at_; at_ < text_.size(); ++at_) {
      if (escapes && text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '\'') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '\'') {
          ++at_;
          return {.kind = Kind::kString, .text = {}, .escaped = escapes};
        }
        ++at_;
      }
    }
    return Bad();
  }

  Token Quoted() {
    Token token{.kind = Kind::kQuoted, .text = {}};
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') {
          ++at_;
          return token;
        }
        ++at_;
      }
      token.text += text_[at_];
    }
    return Bad();
  }

  // $1, or $tag$ ... $tag$.
  Token Dollar() {
    std::size_t end = at_ + 1;
    if (end < text_.size() && IsDigit(text_[end])) {
      while (end < text_.size() && IsDigit(text_[end])) ++end;
      Token token = Take(Kind::kOther, end - at_);
      token.text = "$";
      return token;
    }
    while (end < text_.size() && (StartsWord(text_[end]) || IsDigit(text_[end]))) ++end;
    if (end == text_.size() || text_[end] != '$') return Bad();
    const std::string_view tag = text_.substr(at_, end + 1 - at_);
    const std::size_t close = text_.find(tag, end + 1);
    if (close == std::string_view::npos) return Bad();
    at_ = close + tag.size();
    return {.kind = Kind::kString, .text = {}};
  }

  // As many operator characters as there are, up to a comment, and without a + or - at the end
  // unless one of ~ ! @ # % ^ & | ` ? is among them.
  Token Operator() {
    std::size_t end = at_;
    while (end < text_.size() && IsOperatorCharacter(text_[end]) &&
           (end == at_ || (text_.substr(end, 2) != "--" && text_.substr(end, 2) != "/*"))) {
      ++end;
    }
    const bool free = text_.substr(at_, end - at_).find_first_of("~!@#%^&|`?") != std::string_view::npos;
    while (!free && end - at_ > 1 && (text_[end - 1] == '+' || text_[end - 1] == '-')) --end;
    return Take(Kind::kOperator, end - at_);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <std::size_t N>
bool IsOneOf(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What a statement may begin with, besides the variable that it assigns to. PERFORM, SELECT and the
// like run the query that follows; what is missing here (EXECUTE, CALL, COMMIT, SET, LOCK ...) is
// not followed.
constexpr std::array<std::string_view, 30> kStarts = {
    "assert",    "begin",   "case",  "close",  "continue", "declare", "else",   "elseif", "elsif", "end",
    "exception", "exit",    "fetch", "for",    "foreach",  "get",     "if",     "loop",   "move",  "null",
    "open",      "perform", "raise", "return", "select",   "table",   "values", "when",   "while", "with"};
constexpr std::array<std::string_view, 4> kWrites = {"insert", "update", "delete", "merge"};
// Comparisons that no operator in the text shows: IN, BETWEEN, CASE, LIKE, USING, DISTINCT.
constexpr std::array<std::string_view, 12> kHiddenOperators = {
    "=", "<>", "<", "<=", ">", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~"};

class PlpgsqlReader {
 public:
  explicit PlpgsqlReader(std::string_view source) : tokens_(source) { body_.names_may_be_variables = true; }

  Body Read() {
    for (const std::string_view name : kHiddenOperators) Add(NameRef::Kind::kOperator, {}, name);
    tokens_.SkipOptions();
    now_ = tokens_.Next();
    next_ = tokens_.Next();
    while (now_.kind != Kind::kEnd) {
      if (now_.kind == Kind::kBad || (before_.escaped && now_.kind == Kind::kString)) {
        Refuse(Reason::kNotUnderstood, " has a body that Waypost does not understand", PinReason::kUnknownState);
        break;
      }
      if (starts_) CheckStart();
      Take();
      before_ = std::move(now_);
      now_ = std::move(next_);
      next_ = tokens_.Next();
    }
    std::sort(body_.names.begin(), body_.names.end());
    body_.names.erase(std::unique(body_.names.begin(), body_.names.end()), body_.names.end());
    return std::move(body_);
  }

 private:
  [[nodiscard]] bool Word(std::string_view word) const { return now_.kind == Kind::kWord && now_.text == word; }
  [[nodiscard]] bool Sign(std::string_view sign) const { return now_.kind == Kind::kOther && now_.text == sign; }

  [[nodiscard]] bool AfterEnd() const { return before_.kind == Kind::kWord && before_.text == "end"; }

  // The token at hand is the first of a statement, or of a declaration.
  void CheckStart() {
    starts_ = false;
    if (now_.kind == Kind::kOperator && (now_.text == "<<" || now_.text == ">>")) {
      in_label_ = now_.text == "<<";
      starts_ = !in_label_;
      return;
    }
    if (Word("declare")) declaring_ = true;
    if (Word("begin")) declaring_ = false;
    if (Word("case")) case_statement_ = true;
    if (declaring_ || (now_.kind == Kind::kWord && IsOneOf(now_.text, kStarts))) return;
    const bool target = now_.kind == Kind::kWord || now_.kind == Kind::kQuoted || Sign("$");
    const bool assigns = (next_.kind == Kind::kOperator && next_.text == "=") ||
                         (next_.kind == Kind::kOther && (next_.text == ":=" || next_.text == "." || next_.text == "["));
    if (target && assigns) return;
    if (now_.kind == Kind::kWord && IsOneOf(now_.text, kWrites)) return;  // refused as a word
    if (Word("execute")) return;
    Refuse(Reason::kNotUnderstood,
           now_.kind == Kind::kWord ? " runs " + now_.text : " has a body that Waypost does not understand",
           PinReason::kUnknownState);
  }

  void Take() {
    if (now_.kind == Kind::kOperator) {
      if (in_label_ && now_.text == ">>") {
        in_label_ = false;
        starts_ = true;
        return;
      }
      return Add(NameRef::Kind::kOperator, {}, now_.text);
    }
    if (Sign(";")) {
      // PL/pgSQL and this reader do not agree where the CASE ends.
      if (cases_ != 0) {
        Refuse(Reason::kNotUnderstood, " has a body that Waypost does not understand", PinReason::kUnknownState);
      }
      starts_ = true;
      return;
    }
    if (now_.kind == Kind::kWord) Keyword();
    if (now_.kind == Kind::kWord || now_.kind == Kind::kQuoted) Name();
  }

  void Keyword() {
    const std::string& word = now_.text;
    if (IsOneOf(word, kWrites)) {
      Refuse(Reason::kWrite, word == "update" ? " updates or locks rows" : " runs " + word, PinReason::kNone);
    } else if (word == "execute") {
      Refuse(Reason::kNotUnderstood, " runs dynamic SQL", PinReason::kUnknownState);
    } else if (word == "share" && before_.kind == Kind::kWord && (before_.text == "for" || before_.text == "key")) {
      Refuse(Reason::kLockClause, " locks rows", PinReason::kNone);
    } else if (word == "case") {
      // The CASE of a statement ends with END CASE, that of an expression with END.
      if (AfterEnd()) return;
      if (!std::exchange(case_statement_, false)) ++cases_;
    } else if (word == "end") {
      if (cases_ != 0) --cases_;
    } else if (cases_ == 0 && (word == "begin" || word == "then" || word == "else" || (word == "loop" && !AfterEnd()))) {
      starts_ = true;
    } else if (word == "declare") {
      starts_ = declaring_;
    }
  }

  void Name() {
    if (now_.text == "pg_temp" || now_.text.starts_with("pg_temp_")) {
      Refuse(Reason::kPinnedRelation, " uses temporary objects", PinReason::kTemporaryTable);
    }
    const bool after_dot = before_.kind == Kind::kOther && before_.text == ".";
    if (after_dot) Add(NameRef::Kind::kAttribute, {}, now_.text);
    const std::string schema = after_dot ? before_dot_ : std::string();
    before_dot_ = now_.text;
    if (next_.kind == Kind::kOther && next_.text == "(") {
      Add(NameRef::Kind::kFunction, schema, now_.text);
    }
    Add(NameRef::Kind::kRelation, schema, now_.text);
    Add(NameRef::Kind::kType, schema, now_.text);
  }

  void Add(NameRef::Kind kind, std::string_view schema, std::string_view name) {
    body_.names.push_back({.kind = kind, .schema = std::string(schema), .name = std::string(name)});
  }

  void Refuse(Reason why, std::string words, PinReason pin) {
    if (body_.why == Reason::kReadSafe) {
      body_.why = why;
      body_.words = std::move(words);
    }
    if (body_.pin == PinReason::kNone || pin == PinReason::kUnknownState) body_.pin = pin;
  }

  Tokens tokens_;
  Token before_, now_, next_;
  std::string before_dot_;
  Body body_;
  bool starts_ = true;
  bool declaring_ = false;
  bool in_label_ = false;
  bool case_statement_ = false;
  unsigned cases_ = 0;  // CASE expressions that are open
};

}  // namespace

Body ReadPlpgsqlBody(std::string_view source) {
  if (source.size() <= kMaxBodyBytes) return PlpgsqlReader(source).Read();
  Body body;
  body.why = Reason::kNotUnderstood;
  body.words = " has a body that is too long to look into";
  body.pin = PinReason::kUnknownState;
  return body;
}

}  // namespace waypost
