#include "metrics/exporter.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <string_view>
#include <utility>

namespace waypost {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct ScrapedInfo {
  const char* name;
  MetricType type;
  const char* labels;
  const char* help;
};
constexpr MetricType kCounter = MetricType::Counter;
constexpr MetricType kGauge = MetricType::Gauge;
constexpr ScrapedInfo kScraped[] = {
#define WAYPOST_SCRAPED(id, kind, name, labels, help) {name, kind, labels, help},
#include "metrics/metrics.def"
};

MetricFamily Family(std::string_view name, std::string_view help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const auto comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
  return parts;
}

// One scrape: the label names are asked for once.
class Scrape {
 public:
  Scrape(const LabelTables& tables, const std::vector<const WorkerMetrics*>& threads)
      : tables_(tables),
        servers_(tables.servers ? tables.servers() : std::vector<std::string>{}),
        rules_(tables.rules ? tables.rules() : std::vector<std::string>{}),
        threads_(threads) {}

  // Calls use(labels, first index, second index) for every series of `info`.
  template <class Use>
  void EachSeries(const MetricInfo& info, Use use) const {
    const std::vector<std::string> first = Values(info.labels[0]);
    const std::vector<std::string> second = Values(info.labels[1]);
    for (std::size_t i = 0; i < first.size(); ++i) {
      for (std::size_t j = 0; j < second.size(); ++j) {
        const bool unnamed =
            (info.labels[0] != Label::kNone && first[i].empty()) || (info.labels[1] != Label::kNone && second[j].empty());
        if (unnamed) continue;
        ClientMetric metric;
        AddLabel(metric, info.labels[0], first[i]);
        AddLabel(metric, info.labels[1], second[j]);
        use(std::move(metric), i, j);
      }
    }
  }

  void AddCounters(std::vector<MetricFamily>& families) const {
    for (std::size_t id = 0; id < kCounters.size(); ++id) {
      MetricFamily family = Family(kCounters[id].name, kCounters[id].help, kCounter);
      EachSeries(kCounters[id], [&](ClientMetric metric, std::size_t i, std::size_t j) {
        for (const WorkerMetrics* thread : threads_)
          metric.counter.value += static_cast<double>(thread->Read(static_cast<Counter>(id), i, j));
        family.metric.push_back(std::move(metric));
      });
      families.push_back(std::move(family));
    }
  }

  void AddGauges(std::vector<MetricFamily>& families) const {
    for (std::size_t id = 0; id < kGauges.size(); ++id) {
      MetricFamily family = Family(kGauges[id].name, kGauges[id].help, kGauge);
      EachSeries(kGauges[id], [&](ClientMetric metric, std::size_t i, std::size_t j) {
        for (const WorkerMetrics* thread : threads_)
          metric.gauge.value += static_cast<double>(thread->Read(static_cast<Gauge>(id), i, j));
        family.metric.push_back(std::move(metric));
      });
      families.push_back(std::move(family));
    }
  }

  void AddHistograms(std::vector<MetricFamily>& families) const {
    for (std::size_t id = 0; id < kHistograms.size(); ++id) {
      MetricFamily family = Family(kHistograms[id].name, kHistograms[id].help, MetricType::Histogram);
      EachSeries(kHistograms[id], [&](ClientMetric metric, std::size_t i, std::size_t) {
        FillHistogram(metric.histogram, static_cast<Histogram>(id), i);
        family.metric.push_back(std::move(metric));
      });
      families.push_back(std::move(family));
    }
  }

 private:
  [[nodiscard]] std::vector<std::string> Values(Label label) const {
    switch (label) {
      case Label::kNone: return {""};
      case Label::kTarget: return tables_.targets;
      case Label::kReason: return tables_.reasons;
      case Label::kPin: return tables_.pins;
      case Label::kServer: return servers_;
      case Label::kRule: return rules_;
      default: break;  // the others are fixed
    }
    std::vector<std::string> values;
    for (const std::string_view value : InfoOf(label).values) values.emplace_back(value);
    return values;
  }

  static void AddLabel(ClientMetric& metric, Label label, const std::string& value) {
    if (label != Label::kNone) metric.label.push_back({std::string(InfoOf(label).name), value});
  }

  // The count is the sum of the buckets read, so that a scrape between two writes is consistent in
  // itself.
  void FillHistogram(ClientMetric::Histogram& histogram, Histogram id, std::size_t series) const {
    std::array<std::uint64_t, metrics_layout::kHistogramCells> cells{};
    for (const WorkerMetrics* thread : threads_) {
      const auto read = thread->Read(id, series);
      for (std::size_t i = 0; i < cells.size(); ++i) cells[i] += read[i];
    }
    const Bounds& bounds = BoundsOf(kHistograms[static_cast<std::size_t>(id)].buckets);
    for (std::size_t i = 0; i <= kBoundCount; ++i) {
      histogram.sample_count += cells[i];
      if (i < kBoundCount) histogram.bucket.push_back({histogram.sample_count, static_cast<double>(bounds[i]) / 1e9});
    }
    histogram.sample_sum = static_cast<double>(cells[kBoundCount + 1]) / 1e9;
  }

  const LabelTables& tables_;
  const std::vector<std::string> servers_, rules_;
  const std::vector<const WorkerMetrics*>& threads_;
};

void AddScraped(const ScrapeOutput& output, std::vector<MetricFamily>& families) {
  for (std::size_t id = 0; id < std::size(kScraped); ++id) {
    const ScrapedInfo& info = kScraped[id];
    MetricFamily family = Family(info.name, info.help, info.type);
    const std::vector<std::string> names = Split(info.labels);
    for (const auto& sample : output.Of(static_cast<Scraped>(id))) {
      if (sample.labels.size() != names.size()) continue;
      ClientMetric metric;
      for (std::size_t i = 0; i < names.size(); ++i) metric.label.push_back({names[i], sample.labels[i]});
      (info.type == kCounter ? metric.counter.value : metric.gauge.value) = sample.value;
      family.metric.push_back(std::move(metric));
    }
    if (!family.metric.empty()) families.push_back(std::move(family));
  }
}

}  // namespace

Exporter::Exporter(LabelTables tables, std::vector<const WorkerMetrics*> threads, std::vector<Source> sources)
    : tables_(std::move(tables)), threads_(std::move(threads)), sources_(std::move(sources)) {}

std::string Exporter::Text() const {
  ScrapeOutput output;
  for (const Source& source : sources_) source(output);
  std::vector<MetricFamily> families;
  const Scrape scrape(tables_, threads_);
  scrape.AddCounters(families);
  scrape.AddGauges(families);
  scrape.AddHistograms(families);
  AddScraped(output, families);
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace waypost
