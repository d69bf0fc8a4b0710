// Reads what classification needs of a database's catalogue, over libpq. Blocks: for the control
// plane's threads, never a worker's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "parser/catalog/catalog.h"

namespace waypost {

struct LoadedCatalog {
  std::shared_ptr<const Catalog> catalog;  // null: it is the one whose fingerprint was known
  std::uint64_t fingerprint = 0;
  std::uint64_t defaults = 0;  // fingerprint of what ALTER ROLE and ALTER DATABASE ... SET say of it
};

// Connects with `conninfo` (a libpq connection string naming server, database and monitor user),
// reads the catalogue in one snapshot, and disconnects. Any role may read it. Fails, in words for
// the log, when that takes longer than `timeout` or the server refuses. `known`: the fingerprint of
// the catalogue that is there already, which is then not built again.
[[nodiscard]] Result<LoadedCatalog> LoadCatalog(const std::string& conninfo, milliseconds timeout, std::uint64_t known = 0);

// True if the server says that it has no such database. `conninfo` names another one there, to which this connects and asks.
[[nodiscard]] bool DatabaseIsGone(const std::string& conninfo, const std::string& database, milliseconds timeout);

}  // namespace waypost
