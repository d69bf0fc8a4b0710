#include "parser/sql/tokens.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

// One letter a token.
std::string Kinds(std::string_view sql, Lexing lexing = {}) {
  std::string kinds;
  std::string whole;
  Tokens tokens(sql, lexing);
  for (Token token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    kinds += "_cwqns$o"[static_cast<std::size_t>(token.kind)];
    whole += token.text;
  }
  CHECK(whole == sql);
  return kinds;
}

}  // namespace

TEST_CASE("a text is cut where PostgreSQL's lexer cuts it", "[parser][tokens]") {
  const auto [sql, kinds] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"select a1,$1", "w_wo$"},
      {"select'it''s'", "ws"},
      {"'a''b' E'\\'' U&'x' u&\"y\" x'1F'", "s_s_s_q_s"},
      {"\"a\"\"b\".c", "qow"},
      {"1.5e-3 .5 1e5+2", "n_n_non"},
      {"-- x\nselect", "c_w"},
      {"/* a /* b */ c */1", "cn"},
      {"$$it's$$ $t$ $$ $t$ $12", "s_s_$"},
      {"'not ended", "s"},
      {"/* not ended", "c"},
      {"$x$ not ended", "s"},
      {"a$1", "w"},
      {"\xc3\xa9t\xc3\xa9", "w"},
  }));
  CAPTURE(sql);
  CHECK(Kinds(sql) == kinds);
}

TEST_CASE("a backslash escapes where the session says so", "[parser][tokens]") {
  CHECK(Kinds("'\\' , 'y'", {}) == "s_o_s");
  Lexing old;
  old.standard_strings = false;
  CHECK(Kinds("'\\' , 'y'", old) == "sws");
}

TEST_CASE("parameters count outside literals and comments alone", "[parser][tokens]") {
  CHECK(HighestParameter("select 1", {}) == 0);
  CHECK(HighestParameter("select $2, $10, $1", {}) == 10);
  CHECK(HighestParameter("select '$3', \"$4\", $$ $5 $$ /* $6 */ -- $7\n, $1", {}) == 1);
  CHECK(HighestParameter("select $99999999999999999999", {}) == 65535);
}

TEST_CASE("no literal is shown, and never more than asked for", "[parser][tokens]") {
  CHECK(WithoutLiterals(" select  1,\n'secret' -- who\n from t where x = $1 ", {}, 100) == "select ?, ? from t where x = $1");
  CHECK(WithoutLiterals("create role r password 'secret'", {}, 100) == "create role r password ?");
  CHECK(WithoutLiterals("select 'secret not ended", {}, 100) == "select ?");
  CHECK(WithoutLiterals("select $$secret$$", {}, 100) == "select ?");
  CHECK(WithoutLiterals("select aaaaaaaaaa", {}, 10) == "select...");
  CHECK(WithoutLiterals("", {}, 10).empty());
}

}  // namespace waypost
