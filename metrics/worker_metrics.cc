#include "metrics/worker_metrics.h"

namespace waypost {

namespace m = metrics_layout;

std::uint64_t WorkerMetrics::Read(Counter counter, LabelIndex first, LabelIndex second) const {
  const auto id = static_cast<std::size_t>(counter);
  const std::size_t place = m::Place(m::kCounterShape[id], first.index, second.index);
  if (place >= m::kCounterShape[id].series()) return 0;
  return cells_[m::kCounterAt[id] + place].load(std::memory_order_relaxed);
}

std::int64_t WorkerMetrics::Read(Gauge gauge, LabelIndex first, LabelIndex second) const {
  const std::size_t at = GaugeCell(gauge, first, second);
  if (at >= m::kCells) return 0;
  return static_cast<std::int64_t>(cells_[at].load(std::memory_order_relaxed));
}

std::array<std::uint64_t, m::kHistogramCells> WorkerMetrics::Read(Histogram histogram, LabelIndex label) const {
  std::array<std::uint64_t, m::kHistogramCells> values{};
  const auto id = static_cast<std::size_t>(histogram);
  if (label.index >= m::kHistogramShape[id].series()) return values;
  const std::size_t at = m::kHistogramAt[id] + label.index * m::kHistogramCells;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = cells_[at + i].load(std::memory_order_relaxed);
  return values;
}

}  // namespace waypost
