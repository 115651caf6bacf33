#include "plugin/load/sampler.hpp"

#include <gtest/gtest.h>

#include "plugin/load/fixture_tree.hpp"

namespace windlass::load {
namespace {

using std::chrono::seconds;
constexpr Sampler::Clock::time_point kStart{seconds{9}};

Options options_for(const FixtureTree& tree) {
  Options options;
  options.proc = tree.proc();
  options.sys = tree.sys();
  options.roots = {"/"};
  options.roots_wait = seconds{20};
  return options;
}

TEST(Sampler, ReadsAWholeMachine) {
  const FixtureTree tree;
  tree.put_machine();
  Sampler sampler(options_for(tree));
  const Report report = sampler.sample(kStart);
  EXPECT_EQ(report.degraded, std::vector<std::string>{});
  EXPECT_EQ(report.cores, 4);
  EXPECT_EQ(report.memory_total_bytes, 8192 * kMiB);
  EXPECT_EQ(report.psi.at("memory").some_avg10, 1.5);
  EXPECT_EQ(report.psi.at("io").full_avg60, 0.75);
  EXPECT_EQ(report.roots.count("/"), 1U);
}

TEST(Sampler, WithNothingToReadNamesEachAndAnswers) {
  const FixtureTree tree;
  Sampler sampler(options_for(tree));
  for (int i = 0; i < 2; ++i) {
    const Report report = sampler.sample(kStart + seconds{i});
    EXPECT_GE(report.cores, 1);
    EXPECT_EQ(report.memory_total_bytes, 0U);
    ASSERT_EQ(report.degraded.size(), 6U);
    for (std::size_t k = 0; k < 6; ++k) {
      EXPECT_TRUE(
          report.degraded[k].starts_with(std::vector{"cores:", "cpu_ratio:", "memory:", "psi:", "disk:", "net:"}[k]));
    }
  }
}

TEST(Sampler, OldPressureFilesWithoutFullForCpuAreFine) {
  const FixtureTree tree;
  tree.put_machine();
  tree.put("proc/pressure/cpu", "some avg10=2.00 avg60=1.00 avg300=0.00 total=12\n");
  tree.put("proc/pressure/io", "some avg10=lots avg60=1.00\n");
  Sampler sampler(options_for(tree));
  const Report report = sampler.sample(kStart);
  EXPECT_EQ(report.psi.at("cpu").some_avg10, 2);
  EXPECT_EQ(report.psi.count("io"), 0U);
  ASSERT_EQ(report.degraded.size(), 1U);
  EXPECT_NE(report.degraded[0].find("tells nothing of io"), std::string::npos);
}

TEST(Sampler, ThisMachineCanBeRead) {
  Sampler sampler(Options{});
  sampler.sample(Sampler::Clock::now());
  const Report report = sampler.sample(Sampler::Clock::now() + seconds{1});
  EXPECT_GT(report.cores, 0);
  EXPECT_GT(report.memory_total_bytes, report.memory_available_bytes);
  EXPECT_GT(report.memory_available_bytes, 0U);
  EXPECT_GE(report.cpu_ratio, 0);
  EXPECT_LE(report.cpu_ratio, 1);
}

}  // namespace
}  // namespace windlass::load
