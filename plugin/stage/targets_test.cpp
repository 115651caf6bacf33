#include "plugin/stage/targets.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace windlass::stage {
namespace {

const TargetKey kKey{{1, 2}, "name"};

TEST(Targets, TheLaterOneStays) {
  Targets targets;
  for (Sequence s = 1; s <= 3; ++s) targets.accepted(s);
  EXPECT_TRUE(targets.publish(kKey, 2, [] { return true; }));
  targets.ended(2);
  EXPECT_TRUE(targets.replaced(kKey, 1));
  EXPECT_FALSE(targets.publish(kKey, 1, []() -> bool { throw 1; }));
  EXPECT_TRUE(targets.publish(kKey, 3, [] { return true; }));
  EXPECT_FALSE(targets.replaced({{1, 2}, "other"}, 1));
}

TEST(Targets, WhatFailedReplacesNothing) {
  Targets targets;
  targets.accepted(1);
  targets.accepted(2);
  EXPECT_TRUE(targets.publish(kKey, 2, [] { return false; }));
  EXPECT_TRUE(targets.publish(kKey, 1, [] { return true; }));
}

TEST(Targets, ForgetsWhatNobodyOlderCanComeTo) {
  Targets targets;
  targets.accepted(5);
  targets.accepted(6);
  EXPECT_TRUE(targets.publish(kKey, 6, [] { return true; }));
  targets.ended(6);
  EXPECT_TRUE(targets.replaced(kKey, 5));
  targets.ended(5);
  EXPECT_FALSE(targets.replaced(kKey, 4)) << "the entry is gone";
}

TEST(Targets, PublishesOneAtATime) {
  Targets targets;
  constexpr Sequence kThreads = 8, kRounds = 500;
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (Sequence t = 1; t <= kThreads; ++t) targets.accepted(t);
  for (Sequence t = 1; t <= kThreads; ++t)
    threads.emplace_back([&, t] {
      for (Sequence i = 0; i < kRounds; ++i)
        targets.publish(kKey, t, [&] {
          most = std::max(most.load(), ++inside);
          --inside;
          return true;
        });
      targets.ended(t);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
}

}  // namespace
}  // namespace windlass::stage
