// What is asked of a database's catalogue, and what each answer adds to the picture of it. Any
// thread; no I/O.
#pragma once

#include <libpq-fe.h>

#include <array>
#include <memory>
#include <span>
#include <string>

#include "parser/catalog/catalog.h"

namespace waypost {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Rows = std::unique_ptr<PGresult, ClearResult>;

// What the statements of CatalogQuery() answer, in their order.
enum class CatalogPart : std::size_t {
  kBegin,
  kSearchPath,
  kPath,
  kFunctions,
  kAggregates,
  kArguments,
  kOperators,
  kRelations,
  kViews,
  kPolicies,
  kVirtualColumns,
  kChildren,
  kColumns,
  kTypes,
  kTypeFunctions,
  kChecks,
  kRanges,
  kCasts,
  kSettings,
  kEnd,
  kCount
};
using CatalogParts = std::array<Rows, static_cast<std::size_t>(CatalogPart::kCount)>;

// One round trip, one snapshot; the same for every major.
[[nodiscard]] std::string CatalogQuery();

[[nodiscard]] Catalog ReadCatalog(const CatalogParts& parts);

// The same for the same answers, another for others (but for one chance in 2^64).
[[nodiscard]] std::uint64_t Fingerprint(std::span<const Rows> parts);

}  // namespace waypost
