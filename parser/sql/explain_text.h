// EXPLAIN ROUTE, the one statement that is Waypost's own: found in a text, and answered by a query that any server turns
// into rows. So formats, portals, transactions and errors are the server's, as for every other statement. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parser/sql/facts.h"

namespace waypost {

// False for nearly every text, at the cost of looking at one byte.
[[nodiscard]] inline bool MayAskForRoute(std::string_view sql) {
  if (sql.empty()) return false;
  const char c = sql[0];
  return (c | 0x20) == 'e' || c == '-' || c == '/' || (c | 0x20) == ' ' || (c >= '\t' && c <= '\r');
}

// A longer question is refused, and one of more statements: all are explained in one go, and other clients wait. Blanks and
// comments in front of it are as long at most.
inline constexpr std::size_t kMaxRouteQuestionBytes = 32U << 10U;
inline constexpr std::size_t kMaxRouteStatements = 100;

// The statement asked about: what follows EXPLAIN ROUTE at the front of `sql`, which may start with blanks and comments.
// Nothing if `sql` does not begin so, or if nothing follows: both are for the server to answer.
[[nodiscard]] std::optional<std::string_view> RouteQuestionIn(std::string_view sql, Lexing lexing);

// The statements of `sql`, one view each into it, without the blanks around them; the whole if it does not parse.
[[nodiscard]] std::vector<std::string_view> SplitStatements(std::string_view sql);

// A query that answers `rows` under the names `columns`, as text. With `parameters` it takes as many as the question
// has, so that it may be prepared and bound like it.
//   Values that come from the client (`from_client`) are in its encoding and are passed on as they are; others are UTF-8.
struct RouteCell {
  std::string text;
  bool from_client = false;
};
[[nodiscard]] std::string RouteAnswerQuery(std::span<const std::string_view> columns,
                                           const std::vector<std::vector<RouteCell>>& rows, unsigned parameters, Lexing lexing);

}  // namespace waypost
