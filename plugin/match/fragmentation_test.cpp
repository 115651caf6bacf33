#include "plugin/match/fragmentation.hpp"

#include <gtest/gtest.h>

#include "plugin/match/matcher.hpp"
#include "plugin/match/testing.hpp"

namespace windlass::match {
namespace {

using Indices = std::vector<int32_t>;

// Dimension 0 is a kind of device, dimension 1 an amount.
TestProblem made_of(std::vector<std::vector<int64_t>> tasks, const std::vector<std::vector<int64_t>>& devices,
                    std::vector<int64_t> amounts) {
  TestProblem made;
  made.tasks = std::move(tasks);
  made.offers = {{}, std::move(amounts)};
  made.problem.policy = Policy::fragmentation;
  made.problem.mode = Mode::packing;
  made.constrained = true;
  std::vector<int64_t>& begin = made.wides.emplace_back(1, 0);
  std::vector<int64_t>& shares = made.wides.emplace_back();
  for (const std::vector<int64_t>& own : devices) {
    int64_t sum = 0;
    for (const int64_t share : own) sum += share;
    shares.insert(shares.end(), own.begin(), own.end());
    made.offers[0].push_back(sum);
    begin.push_back(static_cast<int64_t>(shares.size()));
  }
  made.given.devices = {{0, begin, shares}};
  return made;
}

Placement run(TestProblem& made) {
  Placement placement;
  const Check fault = match(made.view(), EngineChoice::automatic, placement);
  EXPECT_FALSE(fault) << fault->message;
  return placement;
}

Wide score(const Placement& placement, size_t task) {
  return (static_cast<Wide>(placement.score_high[task]) << 64) | placement.score_low[task];
}

TEST(Fragmentation, KeepsADeviceWholeForThoseThatNeedOne) {
  TestProblem made = made_of({{5'000, 10'000, 10'000}, {0, 0, 0}}, {{10'000}, {5'000}, {10'000}}, {0, 0, 0});
  EXPECT_EQ(run(made).offer_index, (Indices{1, 0, 2}));
  made.problem.policy = Policy::dot_product;
  EXPECT_EQ(run(made).offer_index, (Indices{0, 2, -1})) << "what it is to be better than";
}

TEST(Fragmentation, AddsTheSharesThatNoLongerServe) {
  // One of two demands is for a whole device. Taking 4,000 of one leaves 6,000 that it can't use.
  TestProblem made = made_of({{4'000, 10'000}, {0, 0}}, {{10'000, 10'000}}, {0});
  const Wide dot = -static_cast<Wide>(65'536) * ((int64_t{4'000} << 20) / 20'000) * (1 << 20);
  const Wide more = 65'536 * ((static_cast<Wide>(6'000) << 40) / (2 * 20'000));
  EXPECT_EQ(score(run(made), 0), dot + more);
}

TEST(Fragmentation, FallsWhereUnusableSharesAreUsed) {
  // Alone, the task takes 4,000 of 5,000 that only tasks such as it can use, which leaves 1,000 that none can.
  TestProblem made = made_of({{4'000}, {0}}, {{5'000}}, {0});
  const Wide dot = -static_cast<Wide>(65'536) * ((int64_t{4'000} << 20) / 5'000) * (1 << 20);
  EXPECT_EQ(score(run(made), 0), dot + 65'536 * ((static_cast<Wide>(1'000) << 40) / 5'000));
  // With a demand for whole devices 5,000 were of no use to it and 1,000 are now: -4,000 + 1,000, rounded down.
  made = made_of({{4'000, 10'000}, {0, 0}}, {{5'000}}, {0});
  const Wide less = 65'536 * (-((static_cast<Wide>(3'000) << 40) / (2 * 5'000)) - 1);
  EXPECT_EQ(score(run(made), 0), dot + less);
}

TEST(Fragmentation, CountsAmountsThatRunOut) {
  // The first task asks for no device, yet on offer 0 it would strand one.
  TestProblem made = made_of({{0, 10'000}, {3, 3}}, {{10'000}, {}}, {5, 5});
  EXPECT_EQ(run(made).offer_index, (Indices{1, 0}));
}

TEST(Fragmentation, IsTheDotProductWhereNothingAsksForDevices) {
  TestProblem made = made_of({{0, 0}, {3, 2}}, {{10'000}, {}}, {5, 9});
  const Placement placement = run(made);
  made.problem.policy = Policy::dot_product;
  const Placement plain = run(made);
  EXPECT_EQ(placement.offer_index, plain.offer_index);
  EXPECT_EQ(placement.score_low, plain.score_low);
  made.problem.normalize = false;
  made.problem.policy = Policy::fragmentation;
  Placement refused;
  EXPECT_EQ(match(made.view(), EngineChoice::automatic, refused)->field, "normalize");
}

}  // namespace
}  // namespace windlass::match
