// Comments that say where their statement should go. Pure; it is for the caller to know whether they count.
// Understood, in the comments before the first word of a text and behind its last:
//   /* waypost: VALUE */       primary, replica, strict, bounded, eventual; or any word that a rule asks for
//   /* pgdog_role: VALUE */    primary, replica: PgDog's
//   /*NO LOAD BALANCE*/        primary: pgpool's, before the first word alone
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "parser/sql/facts.h"

namespace waypost {

enum class Hint : std::uint8_t { kNone, kPrimary, kReplica, kStrict, kBounded, kEventual, kOther };

// The value of the first comment of `sql` that is one, in lower case; empty: none is.
[[nodiscard]] std::string HintIn(std::string_view sql, Lexing lexing);

// What such a value asks for. kOther: a word that only rules know.
[[nodiscard]] Hint HintOf(std::string_view value);

}  // namespace waypost
