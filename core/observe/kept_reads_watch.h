// Looks once a second whether something keeps every read on the primary, and logs it: once, and again when it
// changes. The main thread looks; any thread may ask.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "core/base/time.h"
#include "core/catalog/keeper.h"
#include "core/config/config.h"
#include "core/fence/report.h"
#include "routing/cluster_view.h"

namespace waypost {

class KeptReadsWatch {
 public:
  struct Sources {
    std::function<View()> view;
    std::function<FenceReport()> fence;
    std::function<ConfigSnapshot()> config;
    std::function<CatalogFailures()> catalog_failures;
    std::function<void(const std::string& why)> tell;  // as the log is told; "": reads run on replicas again
  };
  explicit KeptReadsWatch(Sources sources) : sources_(std::move(sources)) {}

  // Main thread, as often as it likes.
  void Look(TimePoint now);

  // "replicas are there, none may be read from: NAME: why; ..."; "" if reads can go to replicas, or are not meant to, or
  // could until a moment ago.
  [[nodiscard]] std::string why() const;

 private:
  [[nodiscard]] std::string Find(TimePoint now) const;

  const Sources sources_;
  // Main thread.
  TimePoint looked_{}, began_{}, changed_{};
  std::string seen_;  // when it last looked
  std::string told_;  // by the log
  mutable std::mutex mutex_;
  std::string why_;  // under mutex_
};

}  // namespace waypost
