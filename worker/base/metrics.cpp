#include "worker/base/metrics.hpp"

#include <dirent.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <fstream>
#include <vector>

#include "worker/base/metrics_table.hpp"

namespace windlass::worker {
namespace {

std::vector<std::string> values_of(const MetricLabel& label) {
  std::vector<std::string> values;
  if (label.name.empty()) return values;
  std::string_view rest = label.values;
  for (;;) {
    const auto bar = rest.find('|');
    values.emplace_back(rest.substr(0, bar));
    if (bar == std::string_view::npos) return values;
    rest.remove_prefix(bar + 1);
  }
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  double resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (!folder) return 0;
  int count = -3;  // ".", ".." and the folder itself
  while (::readdir(folder)) ++count;
  ::closedir(folder);
  return count;
}

// All series of one metric: made at first use, found by the numbers of their label values.
template <typename Kind>
class Series {
 public:
  Series(prometheus::Family<Kind>& family, const MetricInfo& info) : family_(family), info_(info) {
    std::size_t slots = 1;
    for (std::size_t i = 0; i < 2; ++i) {
      values_[i] = values_of(info.labels[i]);
      if (!values_[i].empty()) slots *= values_[i].size();
    }
    made_ = std::vector<std::atomic<Kind*>>(slots);
  }

  template <typename... Arguments>
  Kind& at(Metrics::Labels labels, const Arguments&... arguments) {
    std::size_t slot = 0;
    prometheus::Labels named;
    const auto* given = labels.begin();
    for (std::size_t i = 0; i < 2 && !values_[i].empty(); ++i) {
      assert(given != labels.end());
      slot = slot * values_[i].size() + index_of(values_[i], *given++);
    }
    assert(given == labels.end());
    if (Kind* made = made_[slot].load(std::memory_order_acquire)) return *made;
    Kind& made = family_.Add(labels_of(slot), arguments...);
    made_[slot].store(&made, std::memory_order_release);
    return made;
  }
  bool has_labels() const { return !values_[0].empty(); }
  // Makes all series of a metric with one label, so that they stand at 0 from the start.
  template <typename... Arguments>
  void make_all(const Arguments&... arguments) {
    if (!values_[1].empty()) return;
    if (values_[0].empty()) at({}, arguments...);
    for (const std::string& value : values_[0]) {
      if (value != "other") at({value}, arguments...);
    }
  }

 private:
  static std::size_t index_of(const std::vector<std::string>& values, std::string_view value) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] == value) return i;
    }
    return values.size() - 1;
  }
  prometheus::Labels labels_of(std::size_t slot) const {
    prometheus::Labels named;
    if (!values_[1].empty()) {
      named.emplace(std::string(info_.labels[1].name), values_[1][slot % values_[1].size()]);
      slot /= values_[1].size();
    }
    if (!values_[0].empty()) named.emplace(std::string(info_.labels[0].name), values_[0][slot]);
    return named;
  }

  prometheus::Family<Kind>& family_;
  const MetricInfo& info_;
  std::vector<std::string> values_[2];
  std::vector<std::atomic<Kind*>> made_;
};

}  // namespace

struct Metrics::State {
  using Counter = prometheus::Counter;
  using Gauge = prometheus::Gauge;
  using Histogram = prometheus::Histogram;

  prometheus::Registry registry;
  const prometheus::Histogram::BucketBoundaries buckets{std::begin(kDurationBuckets), std::end(kDurationBuckets)};
  std::unique_ptr<Series<Counter>> counters[static_cast<std::size_t>(Metric::count)];
  std::unique_ptr<Series<Gauge>> gauges[static_cast<std::size_t>(Metric::count)];
  std::unique_ptr<Series<Histogram>> histograms[static_cast<std::size_t>(Metric::count)];

  void make(const MetricInfo& info) {
    const auto i = static_cast<std::size_t>(info.metric);
    const std::string name(info.name);
    const std::string help(info.help);
    switch (info.kind) {
      case MetricKind::counter:
        counters[i] = std::make_unique<Series<Counter>>(
            prometheus::BuildCounter().Name(name).Help(help).Register(registry), info);
        counters[i]->make_all();
        break;
      case MetricKind::gauge:
        gauges[i] =
            std::make_unique<Series<Gauge>>(prometheus::BuildGauge().Name(name).Help(help).Register(registry), info);
        gauges[i]->make_all();
        break;
      case MetricKind::histogram:
        histograms[i] = std::make_unique<Series<Histogram>>(
            prometheus::BuildHistogram().Name(name).Help(help).Register(registry), info);
        histograms[i]->make_all(buckets);
        break;
    }
  }
};

Metrics::Metrics() : state_(std::make_unique<State>()) {
  for (const MetricInfo& info : metrics_table()) state_->make(info);
  add(Metric::requests, {"load", "OK"}, 0);
  set(Metric::build, {WINDLASS_VERSION}, 1);
}
Metrics::~Metrics() = default;

void Metrics::add(Metric counter, Labels labels, double by) {
  auto& series = state_->counters[static_cast<std::size_t>(counter)];
  assert(series);
  series->at(labels).Increment(by);
}

void Metrics::add_up_to(Metric counter, Labels labels, double total) {
  auto& series = state_->counters[static_cast<std::size_t>(counter)];
  assert(series);
  prometheus::Counter& one = series->at(labels);
  if (const double missing = total - one.Value(); missing > 0) one.Increment(missing);
}

void Metrics::set(Metric gauge, Labels labels, double value) {
  auto& series = state_->gauges[static_cast<std::size_t>(gauge)];
  assert(series);
  series->at(labels).Set(value);
}

void Metrics::observe(Metric histogram, Labels labels, double value) {
  auto& series = state_->histograms[static_cast<std::size_t>(histogram)];
  assert(series);
  series->at(labels, state_->buckets).Observe(value);
}

std::string Metrics::text() {
  set(Metric::resident_memory, resident_bytes());
  set(Metric::open_files, open_descriptors());
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace windlass::worker
