// An immutable picture of one database's catalogue, as far as classification needs it. Pure; built by the control plane,
// shared by all workers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "parser/facts.h"

namespace waypost {

class Catalog;  // parser/resolve.h uses it; the loader in core fills a CatalogBuilder

// The verdict of one statement. `catalog` may be null (not loaded yet): then whatever needs it is a write by
// Reason::kNoCatalog, and only what touches no user name (SELECT 1, built-in immutable functions) is a read.
[[nodiscard]] Verdict Resolve(const Facts& facts, const Catalog* catalog);

}  // namespace waypost
