#include "parser/catalog/search_path.h"

#include <algorithm>
#include <cctype>

#include "core/base/ascii.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1: longer names are cut by the server

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

void SkipBlanks(std::string_view& text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
}

// Takes `quote`...`quote` off the front, in which a doubled quote is one. False: it does not end.
bool TakeQuoted(std::string_view& text, char quote, std::string& out) {
  out.clear();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '\'') return false;  // may mean more than it says
    if (text[i] != quote) {
      out += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == quote) {
      out += text[i++];
    } else {
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// False: the path is not known.
bool AddSchema(std::string_view name, std::string_view user, SearchPath& path) {
  if (name.size() > kMaxNameBytes) return false;
  if (name == "$user") {
    if (user.empty()) return false;
    name = user;
  }
  if (name == "pg_catalog" || name == "pg_temp" || name.empty()) return true;
  path.schemas.emplace_back(name);
  return true;
}

// Each literal of a SET is one name, whatever is in it.
SearchPath ReadLiterals(std::string_view text, std::string_view user) {
  SearchPath path;
  std::string name;
  for (;;) {
    SkipBlanks(text);
    if (!text.starts_with('\'') || !TakeQuoted(text, '\'', name)) return {};
    if (!AddSchema(name, user, path)) return {};
    SkipBlanks(text);
    if (text.empty()) break;
    if (!text.starts_with(',')) return {};
    text.remove_prefix(1);
  }
  path.known = true;
  return path;
}

}  // namespace

bool SearchPath::Has(std::string_view schema) const {
  return schema == "pg_catalog" || std::find(schemas.begin(), schemas.end(), schema) != schemas.end();
}

SearchPath ReadSearchPath(std::string_view value, std::string_view user) {
  SearchPath path;
  SkipBlanks(value);
  std::string name;
  while (!value.empty()) {
    name.clear();
    if (value.starts_with('"')) {
      if (!TakeQuoted(value, '"', name)) return {};
    } else {
      while (!value.empty() && value.front() != ',' && !IsBlank(value.front())) {
        name += AsciiLower(value.front());
        value.remove_prefix(1);
      }
      if (name.empty() || name.find('"') != std::string::npos) return {};
    }
    if (!AddSchema(name, user, path)) return {};
    SkipBlanks(value);
    if (value.empty()) break;
    if (!value.starts_with(',')) return {};
    value.remove_prefix(1);
    SkipBlanks(value);
    if (value.empty()) return {};
  }
  path.known = true;
  return path;
}

SearchPath ReadSearchPathStatement(std::string_view sql, std::string_view user) {
  constexpr std::string_view kSet = "SET search_path TO ";
  if (sql.starts_with(kSet)) return ReadLiterals(sql.substr(kSet.size()), user);
  bool called = false;
  for (const std::string_view call :
       {"SELECT pg_catalog.set_config('search_path',", "SELECT pg_catalog.set_config(E'search_path',E"}) {
    if (!sql.starts_with(call)) continue;
    sql.remove_prefix(call.size());
    called = true;
    break;
  }
  std::string value;
  if (!called || !sql.starts_with('\'') || !TakeQuoted(sql, '\'', value) || sql != ",false)") return {};
  return ReadSearchPath(value, user);
}

}  // namespace waypost
