// The one table of metrics; docs/metrics.md and the golden list come from it.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "worker/base/metrics.hpp"

namespace windlass::worker {

enum class MetricKind { counter, gauge, histogram };

struct MetricLabel {
  std::string_view name = {};
  std::string_view values = {};  // "a|b|c"; whatever else comes is told as "other"
};

struct MetricInfo {
  Metric metric;
  std::string_view name;
  MetricKind kind;
  std::string_view help;
  std::array<MetricLabel, 2> labels = {};
};

// In the order of Metric.
std::span<const MetricInfo> metrics_table();

// Upper bounds of the histograms' buckets, in seconds.
inline constexpr double kDurationBuckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                              0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};

}  // namespace windlass::worker
