// Keeps the catalogues of the databases in use up to date: loads one when it is asked for (a new
// database, DDL seen), and each again from time to time. A thread of its own, since loading blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/config/config.h"
#include "parser/catalog/catalog.h"
#include "routing/cluster_view.h"

namespace waypost {

struct KnownCatalog {
  std::shared_ptr<const Catalog> catalog;  // the same object as long as nothing changed
  std::uint64_t as_of = 0;                 // what the clock said before it was read
  bool defaults_changed = false;           // ALTER ROLE or ALTER DATABASE ... SET since it was read before
};

// Databases whose catalogue could not be read at the last attempt, and why.
using CatalogFailures = std::vector<std::pair<std::string, std::string>>;

// A catalogue that is being read.
struct CatalogLoad {
  std::string database, server;
  TimePoint since;
  bool operator==(const CatalogLoad&) const = default;
};

class CatalogKeeper {
 public:
  // Called on the keeper's thread with every catalogue read.
  using Publish = std::function<void(const std::string& database, const KnownCatalog& known)>;
  // The same with one that was read before and is no longer there, dropped past this Waypost. It is forgotten here already.
  using Gone = std::function<void(const std::string& database)>;

  // Before each load `view` is asked for the primary, and `clock` how late it is; any thread.
  CatalogKeeper(ConfigSnapshot config, std::function<View()> view, std::function<std::uint64_t()> clock, Publish publish,
                Gone gone);
  ~CatalogKeeper();  // stops
  CatalogKeeper(const CatalogKeeper&) = delete;
  CatalogKeeper& operator=(const CatalogKeeper&) = delete;

  void Start();
  // Ends the thread; waits for a load under way (kLoadTimeout at most, and as long again to ask whether the database is gone).
  void Stop();
  void Reload(ConfigSnapshot config);

  // Any thread; holds a lock for less than a microsecond. A load that begins after this call will
  // be published; several requests are one load.
  void RequestCatalog(std::string_view database);
  // Any thread. The catalogue is not loaded again until it is asked for.
  void Forget(std::string_view database);
  // Any thread.
  [[nodiscard]] CatalogFailures Failures() const;
  // Any thread. Nothing: none is being read at the moment.
  [[nodiscard]] std::optional<CatalogLoad> Loading() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waypost
