// The metrics that a view of the cluster holds. Pure but for the clock given.
#pragma once

#include "metrics/exporter.h"
#include "routing/cluster_view.h"

namespace waypost {

// Adds those of all servers still in the configuration.
void AddClusterMetrics(const ClusterView& view, TimePoint now, ScrapeOutput& output);

// The names of targets, reasons and pins as metric labels, and of servers as `view` knows them at
// each scrape.
[[nodiscard]] LabelTables MakeLabelTables(std::function<View()> view, std::function<std::vector<std::string>()> rules);

}  // namespace waypost
