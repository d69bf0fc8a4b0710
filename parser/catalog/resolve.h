// From facts and a catalogue to a verdict. Pure.
//
// Class::kRead is said only of what a replica may run with the same answer. Everything else that is
// not a session or transaction statement is Class::kWrite, "must run on the primary", also where it
// writes nothing (SHOW, pg_locks); the reason says which.
#pragma once

#include <span>

#include "parser/catalog/catalog.h"
#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"

namespace waypost {

// How the session looks at the catalogue.
struct Outlook {
  const SearchPath* path = nullptr;  // null: not known, a name then stands for all of that name
  // True: the catalogue has changed since, and it is not known how. Nothing is a read by it.
  bool stale = false;
};

// The verdict of one statement. `catalog` may be null (not loaded yet): then whatever needs it is a
// write by Reason::kNoCatalog, and only what names no function, operator, type or relation (SELECT
// 1) is a read.
[[nodiscard]] Verdict Resolve(const Facts& facts, const Catalog* catalog, Outlook outlook = {});

// The verdict of all statements of one Query together, since PostgreSQL runs them as one implicit
// transaction. One: its own. All reads (or none at all): a read. Else Class::kWrite by
// Reason::kMultiStatement. The first pin stays. What they do to settings is in the facts of each.
[[nodiscard]] Verdict CombineVerdicts(std::span<const Verdict> verdicts);

// Each statement of a whole text. Behind one that changes settings, names may mean something else:
// they are then looked up in all schemas.
[[nodiscard]] std::vector<Verdict> ResolveEach(const std::vector<Facts>& list, const Catalog* catalog, Outlook outlook = {});

// Both at once.
[[nodiscard]] Verdict ResolveAll(const std::vector<Facts>& list, const Catalog* catalog, Outlook outlook = {});

}  // namespace waypost
