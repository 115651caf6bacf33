#include "plugin/match/number_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

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

}  // namespace
}  // namespace windlass::match
