#include "worker/base/metrics.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace windlass::worker {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

// The page with every value left out: what a dashboard may rely on.
std::string names_of(const std::string& text) {
  std::istringstream lines(text);
  std::string names;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP") || line.find("_bucket{") != std::string::npos) continue;
    names += (line.starts_with('#') ? line : line.substr(0, line.rfind(' '))) + "\n";
  }
  return names;
}

TEST(Metrics, TheListOfSeriesIsTheGoldenOne) {
  Metrics metrics;
  std::ifstream file(std::string(WINDLASS_SOURCE_DIR) + "/worker/base/metrics_golden.txt");
  std::ostringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(names_of(metrics.text()), golden.str()) << "the metrics changed: look whether dashboards need it, then "
                                                       "write the left side to worker/base/metrics_golden.txt";
}

TEST(Metrics, CountersGaugesAndHistogramsAreTold) {
  Metrics metrics;
  metrics.add(Metric::requests, {"match", "OK"});
  metrics.add(Metric::requests, {"match", "OK"}, 2);
  metrics.add(Metric::requests, {"a stranger's word", "NO_CODE"});
  metrics.set(Metric::clients, 3);
  metrics.observe(Metric::request_duration, {"match"}, 0.003);
  metrics.add_up_to(Metric::stage_bytes, 10);
  metrics.add_up_to(Metric::stage_bytes, 25);
  metrics.add_up_to(Metric::stage_bytes, 5);
  const std::string text = metrics.text();
  EXPECT_TRUE(has_line(text, R"(windlass_requests_total{code="OK",type="match"} 3)")) << text;
  EXPECT_TRUE(has_line(text, R"(windlass_requests_total{code="other",type="other"} 1)")) << text;
  EXPECT_TRUE(has_line(text, "windlass_clients 3")) << text;
  EXPECT_TRUE(has_line(text, "windlass_stage_bytes_total 25")) << text;
  EXPECT_TRUE(has_line(text, R"(windlass_request_duration_seconds_bucket{type="match",le="0.0025"} 0)")) << text;
  EXPECT_TRUE(has_line(text, R"(windlass_request_duration_seconds_bucket{type="match",le="0.005"} 1)")) << text;
  EXPECT_TRUE(has_line(text, R"(windlass_request_duration_seconds_count{type="match"} 1)")) << text;
}

TEST(Metrics, ManyThreadsLoseNothing) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < 2000; ++i) {
        metrics.add(Metric::requests, {"stage", "INTERNAL"});
        if (i % 500 == 0) {
          EXPECT_FALSE(metrics.text().empty());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(has_line(metrics.text(), R"(windlass_requests_total{code="INTERNAL",type="stage"} 8000)"));
}

}  // namespace
}  // namespace windlass::worker
