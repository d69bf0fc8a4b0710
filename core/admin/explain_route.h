// Where a statement of a fresh session would go, and why, in words: for `waypost route` and POST
// /api/v1/route.
#pragma once

#include "core/admin/admin_api.h"
#include "core/config.h"
#include "parser/catalog.h"
#include "routing/cluster_view.h"

namespace waypost {

// `view`: null for an answer by the policy alone, as if a replica could be read from. `catalog`:
// null if not loaded. Parses the whole text, without the caches of the workers. Any thread.
[[nodiscard]] RouteAnswer ExplainRoute(const RouteQuestion& question, const Config& config,
                                       const ClusterView* view, const Catalog* catalog,
                                       TimePoint now);

}  // namespace waypost
