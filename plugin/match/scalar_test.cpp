#include "plugin/match/scalar.hpp"

#include <gtest/gtest.h>

#include "plugin/match/matcher.hpp"
#include "plugin/match/testing.hpp"

namespace windlass::match {
namespace {

using Indices = std::vector<int32_t>;

Placement run(TestProblem& made) {
  Placement placement;
  const Check fault = match(made.view(), EngineChoice::scalar, placement);
  EXPECT_FALSE(fault) << fault->message;
  return placement;
}

Wide score(const Placement& placement, size_t task) {
  return (static_cast<Wide>(placement.score_high[task]) << 64) | placement.score_low[task];
}

TestProblem made_of(std::vector<std::vector<int64_t>> tasks, std::vector<std::vector<int64_t>> offers) {
  TestProblem made;
  made.tasks = std::move(tasks);
  made.offers = std::move(offers);
  return made;
}

TEST(Scalar, BestFitTakesTheLeastLeftOver) {
  TestProblem made = made_of({{4, 2, 9}}, {{8, 4, 2}});
  EXPECT_EQ(run(made).offer_index, (Indices{1, 2, -1}));
}

TEST(Scalar, TheScoreIsTheNormalisedSumInExactIntegers) {
  TestProblem made = made_of({{1}}, {{3}});
  const Wide weight = (static_cast<Wide>(65536) << 64) / 3;
  EXPECT_EQ(score(run(made), 0), weight * 2);
  made.problem.normalize = false;
  EXPECT_EQ(score(run(made), 0), 65536 * 2);
  made.problem.policy = Policy::worst_fit;
  EXPECT_EQ(score(run(made), 0), -65536 * 2);
}

TEST(Scalar, WorstFitTakesTheMostLeftOver) {
  TestProblem made = made_of({{4, 2}}, {{8, 4, 2}});
  made.problem.policy = Policy::worst_fit;
  EXPECT_EQ(run(made).offer_index, (Indices{0, 1}));
}

TEST(Scalar, DotProductPrefersWhatIsAlike) {
  TestProblem made = made_of({{10}, {0}}, {{10, 20}, {40, 10}});
  made.problem.policy = Policy::dot_product;
  const Placement placement = run(made);
  EXPECT_EQ(placement.offer_index, (Indices{1}));
  EXPECT_EQ(score(placement, 0), -(static_cast<Wide>(65536) * (10 * (1 << 20) / 20) * (1 << 20)));
}

TEST(Scalar, CostTakesTheCheapestAndAddsNothingForAnOfferInUse) {
  TestProblem made = made_of({{1, 1, 1}}, {{2, 2, 8}});
  made.problem.policy = Policy::cost;
  made.problem.mode = Mode::packing;
  made.price = {7, 5, 6};
  const Placement placement = run(made);
  EXPECT_EQ(placement.offer_index, (Indices{1, 1, 2}));
  EXPECT_EQ(placement.price_added, (std::vector<int64_t>{5, 0, 6}));
}

TEST(Scalar, MaxPriceAndMaxScoreLeaveOffersOut) {
  TestProblem made = made_of({{5}}, {{5, 6}});
  made.price = {9, 1};
  made.problem.max_price = 5;
  EXPECT_EQ(run(made).offer_index, (Indices{1}));
  made.problem.max_price.reset();
  made.tasks[0][0] = 4;
  made.problem.max_score = 0.2;  // 1/6 is below, 2/6 above
  EXPECT_EQ(run(made).offer_index, (Indices{0}));
  made.problem.max_score = 0.1;
  EXPECT_EQ(run(made).offer_index, (Indices{-1}));
}

TEST(Scalar, HigherPriorityIsTakenFirstAndEqualOnesAsGiven) {
  TestProblem made = made_of({{1, 1, 1}}, {{1, 1}});
  made.priority = {0, 5, 5};
  const Placement placement = run(made);
  EXPECT_EQ(placement.order, (Indices{1, 2, 0}));
  EXPECT_EQ(placement.offer_index, (Indices{-1, 0, 1}));
}

TEST(Scalar, SwapRemovePutsTheLastInThePlaceOfTheUsed) {
  TestProblem made = made_of({{1, 1, 1, 1}}, {{1, 1, 1, 1}});
  made.problem.ties = Ties::swap_remove;
  EXPECT_EQ(run(made).offer_index, (Indices{0, 3, 2, 1}));
}

TEST(Scalar, PackingFillsAnOfferUntilNothingFits) {
  TestProblem made = made_of({{3, 3, 3, 3}}, {{7, 6}});
  made.problem.mode = Mode::packing;
  EXPECT_EQ(run(made).offer_index, (Indices{1, 1, 0, 0}));
}

TEST(Scalar, NoTasksOrNoOffersIsNoError) {
  TestProblem made = made_of({{}}, {{1}});
  EXPECT_EQ(run(made).placed, 0u);
  made = made_of({{1}}, {{}});
  EXPECT_EQ(run(made).offer_index, (Indices{-1}));
  made = made_of({}, {});
  made.problem.tasks = 2;
  made.problem.offers = 1;
  EXPECT_EQ(run(made).offer_index, (Indices{0, -1}));
}

TEST(Scalar, TheLargestNumbersDoNotOverflow) {
  const int64_t most = 9'200'000'000'000'000'000;
  TestProblem made;
  for (int d = 0; d < 256; ++d) {
    made.tasks.push_back({0});
    made.offers.push_back({most});
    made.scale.push_back((most >> 24) + 1);
    made.weights.push_back(int64_t{1} << 30);
  }
  const Wide weight = (static_cast<Wide>(int64_t{1} << 30) << 64) / made.scale[0];
  EXPECT_EQ(score(run(made), 0), weight * most * 256);
}

}  // namespace
}  // namespace windlass::match
