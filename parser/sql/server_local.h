// The built-in names whose catalogue entry does not tell whether a replica may answer. Pure.
#pragma once

#include <string_view>

#include "parser/sql/verdict.h"

namespace waypost {

// Why the built-in function answers differently, or not at all, on another server, in words.
// Empty: it does not.
[[nodiscard]] std::string_view WhyServerLocalFunction(std::string_view name);

// The same for a system table or view.
[[nodiscard]] std::string_view WhyServerLocalRelation(std::string_view name);

// The prepared statements of the session that asks: what tells of them, a view and a function.
[[nodiscard]] bool ListsPrepared(std::string_view name);

// Volatile in pg_proc, but it writes nothing, sets nothing, and no server has a better answer than
// another.
[[nodiscard]] bool IsHarmlessVolatile(std::string_view name);

// Not volatile in pg_proc, but reads tables or runs input functions that its arguments name, so
// that no name in the statement shows what it touches.
[[nodiscard]] bool RunsWhatItIsGiven(std::string_view name);

// It answers from something else than the rows of tables: a sequence, a lock, what the server is doing.
[[nodiscard]] bool LooksAtNoRows(std::string_view name);

// What a call of the built-in function leaves behind in the session that no setting shows.
[[nodiscard]] PinReason PinOfBuiltIn(std::string_view name);

}  // namespace waypost
