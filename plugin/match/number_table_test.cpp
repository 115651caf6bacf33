#include "plugin/match/number_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

namespace windlass::match {
namespace {

TEST(NumberTable, HoldsNothingAtFirst) {
  NumberTable table;
  table.erase(3);
  EXPECT_EQ(table.find(3), -1);
  EXPECT_EQ(table.find(-1), -1);
  EXPECT_EQ(table.size(), 0U);
}

TEST(NumberTable, AnswersAsAMapUnderRandomCalls) {
  for (const int64_t spread : {int64_t{1}, int64_t{1} << 33, INT64_MAX / 200}) {
    std::mt19937_64 random(7);
    NumberTable table;
    std::unordered_map<int64_t, int32_t> wanted;
    for (int32_t call = 0; call < 20'000; ++call) {
      const int64_t number = static_cast<int64_t>(random() % 200) * spread;
      if (random() % 5 < 2) {
        table.erase(number);
        wanted.erase(number);
      } else {
        table.put(number, call);
        wanted[number] = call;
      }
      const int64_t other = static_cast<int64_t>(random() % 200) * spread;
      const auto found = wanted.find(other);
      ASSERT_EQ(table.find(other), found == wanted.end() ? -1 : found->second) << "call " << call;
      ASSERT_EQ(table.size(), wanted.size());
    }
  }
}

// Numbers that a multiplication alone, whose factor anybody can read, brings to the same few places. Counted, not
// timed.
TEST(NumberTable, NumbersChosenToMeetDoNotMeet) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15U;
  uint64_t inverse = kFactor;
  for (int i = 0; i < 6; ++i) inverse *= 2 - kFactor * inverse;
  NumberTable table;
  std::vector<int64_t> numbers;
  for (uint64_t product = 0; numbers.size() < 20'000; ++product) {
    const auto number = static_cast<int64_t>(product * inverse);
    if (number < 0) continue;
    ASSERT_EQ(static_cast<uint64_t>(number) * kFactor >> 44U, 0U) << "all would be at home at the first place";
    numbers.push_back(number);
    table.put(number, 0);
  }
  size_t passed = 0;
  for (const int64_t number : numbers) passed += table.passed(number);
  EXPECT_LE(passed, 4 * numbers.size());
}

// As most are: one after the other.
TEST(NumberTable, NumbersInARowAreFoundAtOnce) {
  NumberTable table;
  for (int64_t number = 0; number < 100'000; ++number) table.put(number, 0);
  size_t passed = 0;
  for (int64_t number = 0; number < 100'000; ++number) passed += table.passed(number);
  EXPECT_LE(passed, 2 * table.size());
}

}  // namespace
}  // namespace windlass::match
