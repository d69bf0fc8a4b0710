// The counters of one thread: only that thread writes, the exporter reads at any time. A write is
// a relaxed load and a relaxed store: no lock prefix, no allocation, a few ns. About 55 KiB: keep
// it on the heap.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "metrics/labels.h"

namespace waypost {

enum class Counter : std::uint8_t {
#define WAYPOST_COUNTER(id, name, label1, label2, help) id,
#include "metrics/metrics.def"
  kCount
};
enum class Gauge : std::uint8_t {
#define WAYPOST_GAUGE(id, name, label1, label2, help) id,
#include "metrics/metrics.def"
  kCount
};
enum class Histogram : std::uint8_t {
#define WAYPOST_HISTOGRAM(id, name, buckets, label, help) id,
#include "metrics/metrics.def"
  kCount
};

enum class Buckets : std::uint8_t { kQuery, kFine };

// Upper bounds, inclusive, in ns. One more bucket, without a bound, follows.
inline constexpr std::size_t kBoundCount = 16;
using Bounds = std::array<std::int64_t, kBoundCount>;
inline constexpr Bounds kQueryBounds = {100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
                                        10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
                                        1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr Bounds kFineBounds = {1'000,      5'000,       10'000,      25'000,       50'000,    100'000,
                                       250'000,    500'000,     1'000'000,   2'500'000,    5'000'000, 10'000'000,
                                       50'000'000, 100'000'000, 500'000'000, 1'000'000'000};
[[nodiscard]] constexpr const Bounds& BoundsOf(Buckets buckets) {
  return buckets == Buckets::kQuery ? kQueryBounds : kFineBounds;
}

struct MetricInfo {
  std::string_view name, help;
  std::array<Label, 2> labels;
  Buckets buckets;  // histograms only
};
inline constexpr auto kCounters = std::to_array<MetricInfo>({
#define WAYPOST_COUNTER(id, name, label1, label2, help) {name, help, {Label::label1, Label::label2}, Buckets::kQuery},
#include "metrics/metrics.def"
});
inline constexpr auto kGauges = std::to_array<MetricInfo>({
#define WAYPOST_GAUGE(id, name, label1, label2, help) {name, help, {Label::label1, Label::label2}, Buckets::kQuery},
#include "metrics/metrics.def"
});
inline constexpr auto kHistograms = std::to_array<MetricInfo>({
#define WAYPOST_HISTOGRAM(id, name, buckets, label, help) {name, help, {Label::label, Label::kNone}, Buckets::buckets},
#include "metrics/metrics.def"
});

// A value of a label: its enumerator, or its index (a ServerId, a class of SQLSTATE).
struct LabelIndex {
  template <class T>
    requires(std::is_enum_v<T> || std::is_integral_v<T>)
  constexpr LabelIndex(T value) : index(static_cast<std::size_t>(value)) {}  // NOLINT: meant to convert
  std::size_t index;
};

namespace metrics_layout {

inline constexpr std::size_t kHistogramCells = kBoundCount + 2;  // buckets, the unbounded one, the sum in ns

// Rows and columns of a metric's series: the capacities of its labels.
struct Shape {
  std::size_t rows, columns;
  [[nodiscard]] constexpr std::size_t series() const { return rows * columns; }
};
[[nodiscard]] constexpr Shape ShapeOf(const MetricInfo& info) {
  return {InfoOf(info.labels[0]).capacity, InfoOf(info.labels[1]).capacity};
}
template <std::size_t N>
[[nodiscard]] constexpr std::array<Shape, N> Shapes(const std::array<MetricInfo, N>& infos) {
  std::array<Shape, N> shapes{};
  for (std::size_t i = 0; i < N; ++i) shapes[i] = ShapeOf(infos[i]);
  return shapes;
}
inline constexpr auto kCounterShape = Shapes(kCounters);
inline constexpr auto kGaugeShape = Shapes(kGauges);
inline constexpr auto kHistogramShape = Shapes(kHistograms);
template <std::size_t N>
[[nodiscard]] constexpr std::array<std::size_t, N + 1> Offsets(const std::array<MetricInfo, N>& infos,
                                                               std::size_t cells_per_series, std::size_t first) {
  std::array<std::size_t, N + 1> offsets{};
  offsets[0] = first;
  for (std::size_t i = 0; i < N; ++i) offsets[i + 1] = offsets[i] + ShapeOf(infos[i]).series() * cells_per_series;
  return offsets;
}
inline constexpr auto kCounterAt = Offsets(kCounters, 1, 0);
inline constexpr auto kGaugeAt = Offsets(kGauges, 1, kCounterAt.back());
inline constexpr auto kHistogramAt = Offsets(kHistograms, kHistogramCells, kGaugeAt.back());
inline constexpr std::size_t kCells = kHistogramAt.back();

// The place of a series within its metric; capacity of the whole if a label value is out of range.
[[nodiscard]] constexpr std::size_t Place(Shape shape, std::size_t first, std::size_t second) {
  return first < shape.rows && second < shape.columns ? first * shape.columns + second : shape.series();
}

}  // namespace metrics_layout

class alignas(64) WorkerMetrics {
 public:
  WorkerMetrics() = default;
  WorkerMetrics(const WorkerMetrics&) = delete;
  WorkerMetrics& operator=(const WorkerMetrics&) = delete;

  // Owner thread only. Labels in the order of metrics.def; a label value out of range is not
  // counted.
  void Count(Counter counter, LabelIndex first = 0, LabelIndex second = 0) { CountMany(counter, 1, first, second); }
  void CountMany(Counter counter, std::uint64_t n, LabelIndex first = 0, LabelIndex second = 0) {
    namespace m = metrics_layout;
    const auto id = static_cast<std::size_t>(counter);
    const std::size_t place = m::Place(m::kCounterShape[id], first.index, second.index);
    if (place < m::kCounterShape[id].series()) Bump(m::kCounterAt[id] + place, n);
  }
  void SetGauge(Gauge gauge, std::int64_t value, LabelIndex first = 0, LabelIndex second = 0) {
    const std::size_t at = GaugeCell(gauge, first, second);
    if (at < metrics_layout::kCells) cells_[at].store(static_cast<std::uint64_t>(value), std::memory_order_relaxed);
  }
  void AddGauge(Gauge gauge, std::int64_t delta, LabelIndex first = 0, LabelIndex second = 0) {
    const std::size_t at = GaugeCell(gauge, first, second);
    if (at < metrics_layout::kCells) Bump(at, static_cast<std::uint64_t>(delta));
  }
  // Negative durations count as 0.
  void Observe(Histogram histogram, LabelIndex label, std::chrono::nanoseconds took) {
    namespace m = metrics_layout;
    const auto id = static_cast<std::size_t>(histogram);
    const MetricInfo& info = kHistograms[id];
    if (label.index >= m::kHistogramShape[id].series()) return;
    const std::int64_t ns = took.count() < 0 ? 0 : took.count();
    const Bounds& bounds = BoundsOf(info.buckets);
    std::size_t bucket = 0;
    while (bucket < kBoundCount && ns > bounds[bucket]) ++bucket;
    const std::size_t at = m::kHistogramAt[id] + label.index * m::kHistogramCells;
    Bump(at + bucket, 1);
    Bump(at + kBoundCount + 1, static_cast<std::uint64_t>(ns));
  }

  // Any thread: the present value of a series. Histogram: buckets (not cumulated), then the sum in
  // ns.
  [[nodiscard]] std::uint64_t Read(Counter counter, LabelIndex first = 0, LabelIndex second = 0) const;
  [[nodiscard]] std::int64_t Read(Gauge gauge, LabelIndex first = 0, LabelIndex second = 0) const;
  [[nodiscard]] std::array<std::uint64_t, metrics_layout::kHistogramCells> Read(Histogram histogram, LabelIndex label = 0) const;

 private:
  static constexpr std::size_t GaugeCell(Gauge gauge, LabelIndex first, LabelIndex second) {
    namespace m = metrics_layout;
    const auto id = static_cast<std::size_t>(gauge);
    const std::size_t place = m::Place(m::kGaugeShape[id], first.index, second.index);
    return place < m::kGaugeShape[id].series() ? m::kGaugeAt[id] + place : m::kCells;
  }
  void Bump(std::size_t cell, std::uint64_t n) {
    auto& at = cells_[cell];
    at.store(at.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, metrics_layout::kCells> cells_{};
};

}  // namespace waypost
