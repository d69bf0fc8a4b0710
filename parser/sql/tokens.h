// A text cut into the tokens of PostgreSQL's lexer, as coarsely as its readers need: what is a literal, a parameter or
// a comment. Works on any bytes, also on what no grammar accepts. Pure; no allocation.
// Source: postgres src/backend/parser/scan.l
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "parser/sql/facts.h"

namespace waypost {

struct Token {
  enum class Kind : std::uint8_t {
    kBlank,
    kComment,  // -- to the end of the line; /* */, nested
    kWord,     // a name or keyword, not quoted
    kQuoted,   // "name"
    kNumber,
    kString,     // '...', also with a prefix (E, B, X, N, U&), and $tag$...$tag$
    kParameter,  // $1
    kOther,      // one byte
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string_view text;
};

class Tokens {
 public:
  Tokens(std::string_view sql, Lexing lexing) : rest_(sql), lexing_(lexing) {}
  // The next one; kEnd for ever after the last. An unterminated string or comment ends with the text.
  Token Next();
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  [[nodiscard]] Token Take(Token::Kind kind, std::size_t length);
  [[nodiscard]] std::size_t StringEnd(std::size_t at, bool backslashes) const;
  [[nodiscard]] std::size_t DollarEnd() const;

  std::string_view rest_;
  Lexing lexing_;
};

// The number of the highest $n in `sql`; 0: none.
[[nodiscard]] unsigned HighestParameter(std::string_view sql, Lexing lexing);

// `sql` as it may be shown to those who may not see the data: each literal is a '?', comments are gone,
// each run of blanks is one. At most `max_bytes`, and then "...".
[[nodiscard]] std::string WithoutLiterals(std::string_view sql, Lexing lexing, std::size_t max_bytes);

}  // namespace waypost
