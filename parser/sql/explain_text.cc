#include "parser/sql/explain_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "parser/sql/scan_cost.h"
#include "parser/sql/tokens.h"
#include "parser/sql/tree.h"

namespace waypost {
namespace {

bool SameWord(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) { return (a | 0x20) == b; });
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The code point of the UTF-8 sequence at the front of `text`, which is taken off; '?' for what is none.
std::uint32_t TakeCodePoint(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : byte(0) >= 0xC0 ? 2 : 1;
  std::uint32_t point = length == 1 ? '?' : byte(0) & (0x7FU >> length);
  if (length > text.size()) {
    text = {};
    return '?';
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      text.remove_prefix(i);
      return '?';
    }
    point = (point << 6U) | (byte(i) & 0x3FU);
  }
  text.remove_prefix(length);
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  return surrogate || point > 0x10FFFF || point < 0x80 ? '?' : point;
}

// A literal that is read alike whatever standard_conforming_strings is.
void AppendLiteral(std::string& out, const RouteCell& cell, Lexing lexing) {
  std::string body;
  bool escapes = false;
  for (std::string_view rest = cell.text; !rest.empty();) {
    const char c = rest[0];
    if (static_cast<unsigned char>(c) < 0x80) {
      if (c == '\\') escapes = true;
      if (c == '\\' || c == '\'') body += c;
      if (c != '\0') body += c;
      rest.remove_prefix(1);
    } else if (cell.from_client) {
      // Where a backslash may be half a character, nobody but the server can tell characters apart.
      body += lexing.ascii_safe_encoding ? c : '?';
      rest.remove_prefix(1);
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      const auto point = TakeCodePoint(rest);
      escapes = true;
      body += "\\U";
      for (int shift = 28; shift >= 0; shift -= 4) body += kHex[(point >> static_cast<unsigned>(shift)) & 15U];
    }
  }
  if (escapes) out += 'E';
  out += '\'';
  out += body;
  out += '\'';
}

}  // namespace

std::optional<std::string_view> RouteQuestionIn(std::string_view sql, Lexing lexing) {
  Tokens tokens(sql, lexing);
  const auto word = [&] {
    Token token = tokens.Next();
    while (token.kind == Token::Kind::kBlank || token.kind == Token::Kind::kComment) {
      if (sql.size() - tokens.rest().size() > kMaxRouteQuestionBytes) break;  // what is asked about is too far away
      token = tokens.Next();
    }
    return token;
  };
  for (const std::string_view expected : {"explain", "route"})
    if (const Token token = word(); token.kind != Token::Kind::kWord || !SameWord(token.text, expected)) return std::nullopt;
  const auto question = Trimmed(tokens.rest());
  if (question.empty() || question == ";") return std::nullopt;
  return question;
}

std::vector<std::string_view> SplitStatements(std::string_view sql) {
  if (!ScansInTime(sql)) return {Trimmed(sql)};
  const std::string text(sql);
  const RawTree tree(text.c_str());
  std::vector<std::string_view> parts;
  if (!tree.ok()) return {Trimmed(sql)};
  for (int i = 0; i < ListSize(tree.statements()); ++i) {
    const auto* stmt = As<RawStmt>(ListAt(tree.statements(), i));
    const auto at = std::min(static_cast<std::size_t>(std::max(stmt->stmt_location, 0)), sql.size());
    const auto rest = sql.substr(at);
    parts.push_back(Trimmed(stmt->stmt_len > 0 ? rest.substr(0, static_cast<std::size_t>(stmt->stmt_len)) : rest));
  }
  return parts;
}

std::string RouteAnswerQuery(std::span<const std::string_view> columns, const std::vector<std::vector<RouteCell>>& rows,
                             unsigned parameters, Lexing lexing) {
  std::string query = "SELECT * FROM (VALUES ";
  for (const auto& row : rows) {
    query += query.back() == ')' ? ", (" : "(";
    for (const auto& cell : row) {
      if (query.back() != '(') query += ", ";
      if (cell.text.empty()) query += "NULL";
      else AppendLiteral(query, cell, lexing);
    }
    query += ')';
  }
  query += ") AS route(";
  for (const auto column : columns) {
    if (column != columns.front()) query += ", ";
    query += '"';
    query += column;
    query += '"';
  }
  query += ')';
  if (parameters == 0) return query;
  query += " WHERE true OR (";
  for (unsigned i = 1; i <= parameters; ++i) query += (i > 1 ? " OR $" : "$") + std::to_string(i) + "::pg_catalog.text IS NULL";
  return query + ')';
}

}  // namespace waypost
