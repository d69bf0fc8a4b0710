// What the body of a function, or an expression that the server stores, would run: the same
// questions as of a statement of a client, asked of text that stands in the catalogue. Pure; never
// throws, and nothing in a body can abort the process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"

namespace waypost {

inline constexpr std::size_t kMaxBodyBytes = 256 << 10;  // longer ones are not looked into

struct Body {
  // It names these, or may: resolved by name.
  std::vector<NameRef> names;
  // A name that the catalogue does not know is no name of an object: a variable, a column.
  bool names_may_be_variables = false;
  // It refers to these for sure: by object id.
  struct Ids {
    std::vector<std::uint32_t> functions, operators, relations, types;
  };
  Ids ids;
  // Of what is no name: writes, locks, dynamic SQL. kReadSafe: nothing of that kind.
  Reason why = Reason::kReadSafe;
  std::string words;  // why, to follow the object's name: " runs INSERT"
  PinReason pin = PinReason::kNone;

  // The first refusal is the one that is said.
  void Refuse(Reason reason, std::string reason_words, PinReason leaves);
};

// A string body in LANGUAGE sql: statements.
[[nodiscard]] Body ReadSqlBody(std::string_view source);

// A pg_node_tree: an expression, a query, the body of a function in the form of the SQL standard, as
// any major from 13 to 18 writes it. A node or a field that none of them has is not understood.
// Source: src/backend/nodes/outfuncs.c of PostgreSQL
[[nodiscard]] Body ReadNodeTree(std::string_view tree);

// A body in LANGUAGE plpgsql. Read as tokens and not as a tree: every word that could be the name
// of anything counts as one, every word that begins or holds a write refuses.
[[nodiscard]] Body ReadPlpgsqlBody(std::string_view source);

}  // namespace waypost
