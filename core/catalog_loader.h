// Reads what classification needs of a database's catalogue, over libpq. Blocks: for the control
// plane's threads, never a worker's.
#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "parser/catalog.h"

namespace waypost {

// Connects with `conninfo` (a libpq connection string naming server, database and monitor user),
// reads the catalogue in one snapshot, and disconnects. Any role may read it. Fails, in words for
// the log, when that takes longer than `timeout` or the server refuses.
[[nodiscard]] Result<std::shared_ptr<const Catalog>> LoadCatalog(const std::string& conninfo,
                                                                 milliseconds timeout);

}  // namespace waypost
