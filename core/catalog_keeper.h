// Keeps the catalogues of the databases in use up to date: loads one when it is asked for (a new
// database, DDL seen), and each again from time to time. A thread of its own, since loading blocks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/config.h"
#include "parser/catalog.h"
#include "routing/cluster_view.h"

namespace waypost {

class CatalogKeeper {
 public:
  // Called on the keeper's thread with every catalogue loaded.
  using Publish =
      std::function<void(const std::string& database, std::shared_ptr<const Catalog> catalog)>;

  // `view` is asked for the primary before each load; any thread.
  CatalogKeeper(ConfigSnapshot config, std::function<View()> view, Publish publish);
  ~CatalogKeeper();  // stops
  CatalogKeeper(const CatalogKeeper&) = delete;
  CatalogKeeper& operator=(const CatalogKeeper&) = delete;

  void Start();
  // Ends the thread; waits for a load under way (kLoadTimeout at most).
  void Stop();
  void Reload(ConfigSnapshot config);

  // Any thread; holds a lock for less than a microsecond. A load that begins after this call will
  // be published; several requests are one load.
  void RequestCatalog(std::string_view database);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waypost
