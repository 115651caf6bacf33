#include "plugin/match/amounts.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace windlass::match {
namespace {

int64_t one(double value, CutKind kind = CutKind::offer) {
  int64_t amount = -1;
  EXPECT_FALSE(cut_amounts(std::span(&value, 1), kind, &amount)) << value;
  return amount;
}

bool refused(double value, CutKind kind = CutKind::offer) {
  int64_t amount = 0;
  return cut_amounts(std::span(&value, 1), kind, &amount).has_value();
}

TEST(Amounts, FourDecimalsAreKeptAndTheRestIsCutOff) {
  EXPECT_EQ(one(3.0), 30'000);
  EXPECT_EQ(one(0.29), 2'900);
  EXPECT_EQ(one(0.1 + 0.2), 3'000);
  EXPECT_EQ(one(1.0 / 3.0), 3'333);
  EXPECT_EQ(one(2.0 / 3.0), 6'666);
  EXPECT_EQ(one(1.99995), 19'999);
}

TEST(Amounts, IntegralNumbersAreExactUpToTheLargest) {
  EXPECT_EQ(one(9.2e14), kAmountMax);
  EXPECT_EQ(one(919'999'999'999'999.0), 9'199'999'999'999'990'000);
  EXPECT_TRUE(refused(920'000'000'000'001.0));
}

TEST(Amounts, TinyOnesFollowTheRuleOfTheirKind) {
  EXPECT_EQ(one(2e-7), 0);
  EXPECT_EQ(one(2e-7, CutKind::task), 1);
  EXPECT_EQ(one(1e-7, CutKind::task), 0);
  EXPECT_EQ(one(-1e-7), 0);
  EXPECT_EQ(one(-0.0), 0);
  EXPECT_EQ(one(1.0 + 1e-7, CutKind::share), kUnit);
  EXPECT_TRUE(refused(1.0 + 3e-7, CutKind::share));
  EXPECT_TRUE(refused(-2e-7));
}

TEST(Amounts, AnAbsentValueIsZeroAndAnInfiniteOneIsRefused) {
  EXPECT_EQ(one(std::numeric_limits<double>::quiet_NaN()), 0);
  EXPECT_TRUE(refused(std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(refused(-std::numeric_limits<double>::infinity()));
}

TEST(Amounts, WhereAllMustBeThereOneThatIsAbsentIsRefused) {
  const double values[] = {1.0, std::numeric_limits<double>::quiet_NaN()};
  int64_t amounts[2] = {};
  EXPECT_FALSE(cut_amounts(values, CutKind::task, amounts));
  const auto fault = cut_amounts(values, CutKind::task, amounts, true);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->row, 1U);
}

TEST(Amounts, TheRefusedRowIsNamed) {
  const double values[] = {1.0, 2.0, -1.0, 4.0};
  int64_t amounts[4] = {};
  const auto fault = cut_amounts(values, CutKind::task, amounts);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->row, 2u);
}

}  // namespace
}  // namespace windlass::match
