// The text of a statement without its literals, so that "WHERE id = 1" and "WHERE id = 2" share one
// cache entry. Pure.
//
// Two texts with the same key are cut into the same tokens but for the values of number and string
// literals, hence have the same tree but for those values. Whether the values matter is for the
// facts to say (Facts::literals_matter).
#pragma once

#include <string>
#include <string_view>

#include "parser/sql/facts.h"

namespace waypost {

// Replaces `key` by the text of `sql` with a placeholder for each number and string literal; keeps
// its capacity, so that a buffer used again does not allocate. False, `key` is then of no use: this
// is not one plain SELECT, INSERT, UPDATE or DELETE, or it contains something that is not worth
// understanding here (comments, dollar quotes, prefixed strings, control characters).
[[nodiscard]] bool LiteralKey(std::string_view sql, Lexing lexing, std::string& key);

}  // namespace waypost
