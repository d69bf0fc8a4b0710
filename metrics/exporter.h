// All metrics in Prometheus' text format. Reads the counters of the threads without disturbing
// them. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "metrics/worker_metrics.h"

namespace waypost {

// The metrics that are computed at each scrape.
enum class Scraped : std::uint8_t {
#define WAYPOST_SCRAPED(id, kind, name, labels, help) id,
#include "metrics/metrics.def"
  kCount
};

// What the sources of one scrape add to.
class ScrapeOutput {
 public:
  struct Sample {
    std::vector<std::string> labels;  // in the order of metrics.def
    double value;
  };
  ScrapeOutput() : samples_(static_cast<std::size_t>(Scraped::kCount)) {}
  void Add(Scraped metric, double value, std::vector<std::string> labels = {}) {
    samples_[static_cast<std::size_t>(metric)].push_back({std::move(labels), value});
  }
  [[nodiscard]] const std::vector<Sample>& Of(Scraped metric) const { return samples_[static_cast<std::size_t>(metric)]; }

 private:
  std::vector<std::vector<Sample>> samples_;
};

// The names, by index, of label values that are known only at run time. An empty name is not
// shown.
struct LabelTables {
  std::vector<std::string> targets, reasons, pins;
  std::function<std::vector<std::string>()> servers, rules;  // asked at every scrape: a reload may add some
};

class Exporter {
 public:
  using Source = std::function<void(ScrapeOutput&)>;

  // `threads` must outlive this; their sum is shown. Each of `sources` is called at every scrape.
  Exporter(LabelTables tables, std::vector<const WorkerMetrics*> threads, std::vector<Source> sources);

  // Everything, in Prometheus' text format 0.0.4. Series of small label sets
  // exist from the start, at 0.
  [[nodiscard]] std::string Text() const;

 private:
  LabelTables tables_;
  std::vector<const WorkerMetrics*> threads_;
  std::vector<Source> sources_;
};

// CPU, memory, descriptors, threads and start time of this process, from /proc. What cannot be read
// is left out.
void AddProcessMetrics(ScrapeOutput& output);

}  // namespace waypost
