#include "parser/sql/set_statement.h"

#include <array>
#include <cctype>

#include "core/base/ascii.h"

namespace waypost {
namespace {

// Settings whose value is a list of names, each quoted by itself.
// Source: variable_is_guc_list_quote() in src/fe_utils/dumputils.c of PostgreSQL 15
bool IsListOfNames(std::string_view name) {
  constexpr std::array<std::string_view, 6> kLists = {"local_preload_libraries",  "search_path",      "session_preload_libraries",
                                                      "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories"};
  for (std::string_view list : kLists) {
    if (list == name) return true;
  }
  return false;
}

bool IsPlainName(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front())) != 0) return false;
  for (char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return true;
}

void AppendQuoted(std::string_view text, char quote, std::string& out) {
  out += quote;
  for (char c : text) {
    if (c == quote) out += c;
    out += c;
  }
  out += quote;
}

// "a" or, for the settings of extensions, "a"."b".
void AppendName(std::string_view name, std::string& out) {
  if (IsPlainName(name)) {
    out += name;
    return;
  }
  for (std::size_t start = 0;;) {
    const std::size_t dot = name.find('.', start);
    AppendQuoted(name.substr(start, dot - start), '"', out);
    if (dot == std::string_view::npos) return;
    out += '.';
    start = dot + 1;
  }
}

}  // namespace

void AppendSetLiteral(std::string_view text, std::string& out) {
  if (text.find('\\') == std::string_view::npos) return AppendQuoted(text, '\'', out);
  out += "E'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  out += '\'';
}

std::string SetHead(std::string_view name, bool local) {
  std::string sql = local ? "SET LOCAL " : "SET ";
  AppendName(name, sql);
  sql += " TO ";
  return sql;
}

// Split as SplitIdentifierString() of PostgreSQL would, giving up on what needs more than its plain form.
std::string SetStatement(std::string_view name, std::string_view value, bool local) {
  std::string sql = SetHead(name, local);
  if (!IsListOfNames(name)) {
    AppendSetLiteral(value, sql);
    return sql;
  }
  if (value.find_first_not_of(' ') == std::string_view::npos) return sql + "''";
  for (std::size_t start = 0;;) {
    const std::size_t comma = value.find(',', start);
    std::string_view part = value.substr(start, comma - start);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    std::string folded = AsciiLower(part);
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"') {
      part = part.substr(1, part.size() - 2);
      folded = part;
    }
    if (folded.empty() || folded.find_first_of("\"\\ \t\r\n\f\v") != std::string::npos) return {};
    if (start > 0) sql += ", ";
    AppendSetLiteral(folded, sql);
    if (comma == std::string_view::npos) return sql;
    start = comma + 1;
  }
}

std::string SetStatementShownAs(std::string_view name, std::string_view value) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (IsListOfNames(name))
    for (std::size_t i = 0; i < value.size(); ++i) {
      const bool parted = value[i] == ',' && i + 2 < value.size() && value[i + 1] == ' ' && plain(value[i + 2]);
      if (!parted && !plain(value[i])) return {};
      if (parted) ++i;
    }
  return SetStatement(name, value, false);
}

std::optional<std::string> ValueSet(std::string_view name, std::string_view sql) {
  const auto head = SetHead(name, false);
  if (!sql.starts_with(head)) return std::nullopt;
  sql.remove_prefix(head.size());
  const bool escapes = sql.starts_with("E'");
  if (escapes) sql.remove_prefix(1);
  if (!sql.starts_with('\'')) {  // a number, or what else needs no quotes
    const bool plain = !sql.empty() && sql.find_first_of("', ") == std::string_view::npos;
    return plain ? std::optional(std::string(sql)) : std::nullopt;
  }
  if (sql.size() < 2 || !sql.ends_with('\'')) return std::nullopt;
  sql.remove_prefix(1);
  sql.remove_suffix(1);
  std::string value;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (sql[i] == '\'' || (escapes && sql[i] == '\\')) {
      if (i + 1 == sql.size() || sql[i + 1] != sql[i]) return std::nullopt;  // it ends here, and more follows
      ++i;
    }
    value += sql[i];
  }
  return value;
}

std::optional<bool> ParseBool(std::string_view text) {
  const std::string word = AsciiLower(text);
  const auto prefix_of = [&](std::string_view full, std::size_t least) { return word.size() >= least && full.starts_with(word); };
  if (prefix_of("true", 1) || prefix_of("yes", 1) || word == "on" || word == "1") return true;
  if (prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || word == "0") return false;
  return std::nullopt;
}

}  // namespace waypost
