#include "plugin/match/validate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "plugin/match/amounts.hpp"
#include "plugin/match/scoring.hpp"
#include "plugin/match/testing.hpp"

namespace windlass::match {
namespace {

TestProblem small() {
  TestProblem made;
  made.tasks = {{10, 20}, {30, 40}};
  made.offers = {{100, 200, 300}, {400, 500, 600}};
  return made;
}

void expect_fault(TestProblem made, Side side, int64_t row, const std::string& field) {
  const Check fault = validate(made.view());
  ASSERT_TRUE(fault) << field;
  EXPECT_EQ(fault->side, side) << field;
  EXPECT_EQ(fault->row, row) << field;
  EXPECT_EQ(fault->field, field);
}

TEST(Validate, AGoodProblemPasses) {
  EXPECT_FALSE(validate(small().view()));
}

TEST(Validate, AmountsNameSideRowAndDimension) {
  TestProblem made = small();
  made.tasks[1][1] = -1;
  expect_fault(made, Side::tasks, 1, "amounts.1");
  made = small();
  made.offers[0][2] = kAmountMax + 1;
  expect_fault(made, Side::offers, 2, "amounts.0");
}

TEST(Validate, AnOfferFarAboveItsScaleIsRefused) {
  TestProblem made = small();
  made.scale = {1, 0};
  made.offers[0][1] = 1 << 24;
  EXPECT_FALSE(validate(made.view()));
  made.offers[0][1] = (1 << 24) + 1;
  expect_fault(made, Side::offers, 1, "amounts.0");
}

TEST(Validate, OptionsAreHeldToTheirRanges) {
  TestProblem made = small();
  made.weights = {65536, (int64_t{1} << 30) + 1};
  expect_fault(made, Side::options, -1, "weights.1");
  made = small();
  made.scale = {0, -1};
  expect_fault(made, Side::options, -1, "scale.1");
  made = small();
  made.problem.max_score = std::nan("");
  expect_fault(made, Side::options, -1, "max_score");
  made = small();
  made.problem.max_score = 0x1p46 + 0x1p-6;
  expect_fault(made, Side::options, -1, "max_score");
  made = small();
  made.problem.policy = Policy::dot_product;
  made.problem.normalize = false;
  expect_fault(made, Side::options, -1, "normalize");
  made = small();
  made.problem.mode = Mode::packing;
  made.problem.ties = Ties::swap_remove;
  expect_fault(made, Side::options, -1, "ties");
}

TEST(Validate, CostNeedsAPriceOnEachOffer) {
  TestProblem made = small();
  made.problem.policy = Policy::cost;
  expect_fault(made, Side::offers, 0, "price");
  made.price = {1, 2, -1};
  expect_fault(made, Side::offers, 2, "price");
  made.price = {1, 2, 3};
  EXPECT_FALSE(validate(made.view()));
  made.problem.max_score = 1.0;
  expect_fault(made, Side::options, -1, "max_score");
}

TEST(ScoreLimit, RoundsDownExactly) {
  const Wide one = static_cast<Wide>(1) << 80;
  const Wide slack = static_cast<Wide>(1) << 64;
  EXPECT_EQ(score_limit(1.0, one), one + slack);
  EXPECT_EQ(score_limit(0.0, one), slack);
  EXPECT_EQ(score_limit(-5e-324, one), -1 + slack);
  EXPECT_EQ(score_limit(-0x1p46, one), -(static_cast<Wide>(1) << 126) + slack);
  const Wide plain = static_cast<Wide>(10'000) << 16;
  EXPECT_EQ(score_limit(0.5, plain), plain / 2 + 10'000);
  EXPECT_EQ(score_limit(1e-300, plain), 10'000);
  EXPECT_EQ(score_limit(0x1p46, plain), plain * (int64_t{1} << 46) + 10'000);
}

}  // namespace
}  // namespace windlass::match
