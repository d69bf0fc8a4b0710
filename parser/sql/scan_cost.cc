#include "parser/sql/scan_cost.h"

#include <array>
#include <cstddef>

namespace waypost {
namespace {

// Characters read again; one takes 1 to 3 ns.
constexpr std::size_t kMostReadAgain = 4'000'000;

constexpr std::array<bool, 256> MakeOperatorCharacters() {
  std::array<bool, 256> set{};
  for (const char c : std::string_view("~!@#^&|`?+-*/%<>=")) set[static_cast<unsigned char>(c)] = true;
  return set;
}
constexpr auto kOperatorCharacters = MakeOperatorCharacters();

bool InOperator(char c) { return kOperatorCharacters[static_cast<unsigned char>(c)]; }

// How many tokens may begin in `run`, each of which has the rest of it read. Where the run stands is not known: it may as
// well be within a comment or a string, where less is read.
std::size_t TokensIn(std::string_view run) {
  const auto comment = run.find("/*");
  const auto line = run.find("--");
  if (line < comment) return line + 1;  // a comment to the end of the line
  if (comment == std::string_view::npos) return run.size();
  std::size_t tokens = comment;
  for (auto at = comment; at != std::string_view::npos; at = run.find("/*", at + 1)) ++tokens;
  const auto end = run.find("*/", comment + 2);
  return end == std::string_view::npos ? tokens : tokens + run.size() - end;
}

}  // namespace

bool ScansInTime(std::string_view sql) {
  constexpr std::size_t kShort = 16;
  std::size_t read_again = 0;
  for (std::size_t at = 0; at < sql.size(); ++at) {
    if (!InOperator(sql[at])) continue;
    const auto begin = at;
    while (at < sql.size() && InOperator(sql[at])) ++at;
    const auto size = at - begin;
    if (size < kShort) continue;
    read_again += TokensIn(sql.substr(begin, size)) * size;
    if (read_again > kMostReadAgain) return false;
  }
  return true;
}

}  // namespace waypost
