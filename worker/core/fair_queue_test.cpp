#include "worker/core/fair_queue.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace windlass::worker {
namespace {

using Queue = FairQueue<int>;

TEST(FairQueue, ServesOwnersInTurnAndEachInItsOrder) {
  Queue queue(100, 1000);
  for (int i = 0; i < 5; ++i) queue.push("much", i, 1);
  queue.push("little", 100, 1);
  queue.push("late", 200, 1);
  std::vector<int> order;
  while (const auto item = queue.pop()) order.push_back(*item);
  EXPECT_EQ(order, (std::vector<int>{0, 100, 200, 1, 2, 3, 4}));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(FairQueue, WhoHasMostMakesRoomForWhoHasLess) {
  Queue queue(4, 1000);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push("much", i, 1).taken);
  EXPECT_FALSE(queue.push("much", 4, 1).taken);
  for (int i = 0; i < 2; ++i) {
    const auto pushed = queue.push("little", 100 + i, 1);
    EXPECT_TRUE(pushed.taken);
    EXPECT_EQ(pushed.displaced, std::vector<int>{3 - i}) << "the newest of whoever has most";
  }
  EXPECT_FALSE(queue.push("little", 102, 1).taken) << "both have as much";
  EXPECT_EQ(queue.size(), 4U);
}

TEST(FairQueue, RoomIsOfBytesToo) {
  Queue queue(100, 10);
  EXPECT_TRUE(queue.push("one", 1, 4).taken);
  EXPECT_TRUE(queue.push("one", 2, 4).taken);
  EXPECT_FALSE(queue.push("one", 3, 4).taken);
  EXPECT_FALSE(queue.push("other", 4, 8).taken) << "as much as the one has";
  const auto pushed = queue.push("other", 5, 5);
  EXPECT_TRUE(pushed.taken);
  EXPECT_EQ(pushed.displaced, std::vector<int>{2});
  EXPECT_EQ(queue.bytes(), 9U);
}

// Refused whenever it comes it would be asked again for ever.
TEST(FairQueue, OneThatIsLargerThanAllTheRoomWaitsBesideTheOthers) {
  Queue queue(5, 10);
  EXPECT_TRUE(queue.push("little", 0, 10).taken);
  const auto pushed = queue.push("much", 1, 11);
  EXPECT_TRUE(pushed.taken);
  EXPECT_TRUE(pushed.displaced.empty());
  EXPECT_FALSE(queue.push("other", 2, 12).taken) << "one of them";
  EXPECT_EQ(queue.bytes(), 10U);
  EXPECT_FALSE(queue.push("much", 3, 11).taken);
  const auto small = queue.push("late", 4, 2);
  EXPECT_EQ(small.displaced, std::vector<int>{0}) << "and not the one that takes none of this room";
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.push("other", 5, 12).taken) << "the next";
  EXPECT_TRUE(queue.remove("other", 5));
  EXPECT_TRUE(queue.push("other", 6, 12).taken);
  queue.clear();
  EXPECT_TRUE(queue.push("other", 7, 12).taken);
}

TEST(FairQueue, TakesBackWhatWaits) {
  Queue queue(10, 10);
  queue.push("one", 1, 1);
  queue.push("one", 2, 1);
  EXPECT_FALSE(queue.remove("other", 1));
  EXPECT_TRUE(queue.remove("one", 1));
  EXPECT_FALSE(queue.remove("one", 1));
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

// Against a plain list: nothing is lost, nothing comes twice, and no bound is passed.
TEST(FairQueue, AnyOrderOfCallsLosesNothing) {
  const char* given = std::getenv("WINDLASS_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("WINDLASS_SEED=" + std::to_string(seed) + " runs it again");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const std::size_t items_max = 1 + random() % 12;
    const std::size_t bytes_max = 1 + random() % 40;
    Queue queue(items_max, bytes_max);
    std::map<int, std::pair<std::string, std::size_t>> there;
    int the_huge = -1;
    const auto bytes = [&] {
      std::size_t sum = 0;
      for (const auto& [item, entry] : there) sum += entry.second;
      return sum;
    };
    for (int step = 0; step < 200; ++step) {
      const std::string owner(1, static_cast<char>('a' + random() % 4));
      const auto what = random() % 4;
      if (what <= 1) {
        const std::size_t size = random() % 15;
        auto pushed = queue.push(owner, step, size);
        const bool huge = size > bytes_max;  // and waits beside the bytes of the others
        const bool one_waits = there.contains(the_huge);
        if (there.size() < items_max && (huge ? !one_waits : bytes() + size <= bytes_max)) {
          ASSERT_TRUE(pushed.taken && pushed.displaced.empty());
        }
        ASSERT_TRUE(pushed.taken || pushed.displaced.empty());
        for (const int item : pushed.displaced) {
          ASSERT_NE(there.at(item).first, owner);
          there.erase(item);
        }
        ASSERT_FALSE(huge && pushed.taken && one_waits);
        if (pushed.taken) there[step] = {owner, huge ? 0 : size};
        if (pushed.taken && huge) the_huge = step;
      } else if (what == 2) {
        const auto item = queue.pop();
        ASSERT_EQ(item.has_value(), !there.empty());
        if (!item) continue;
        for (const auto& [other, entry] : there) {
          ASSERT_FALSE(other < *item && entry.first == there.at(*item).first) << "an earlier one of the same owner";
        }
        there.erase(*item);
      } else if (!there.empty()) {
        const auto at = std::next(there.begin(), static_cast<std::ptrdiff_t>(random() % there.size()));
        ASSERT_TRUE(queue.remove(at->second.first, at->first));
        there.erase(at);
      }
      ASSERT_EQ(queue.size(), there.size());
      ASSERT_EQ(queue.bytes(), bytes());
      ASSERT_LE(queue.size(), items_max);
      ASSERT_LE(queue.bytes(), bytes_max);
    }
  }
}

}  // namespace
}  // namespace windlass::worker
