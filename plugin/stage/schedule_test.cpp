#include "plugin/stage/schedule.hpp"

#include <gtest/gtest.h>

#include "plugin/stage/bandwidth.hpp"
#include "plugin/stage/stager.hpp"

namespace windlass::stage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Ticket ticket(Sequence sequence, std::int64_t priority = 0, std::uint64_t bytes = 0, const std::string& client = "") {
  return {sequence, priority, bytes, client, std::nullopt, Clock::time_point{}};
}

TEST(Schedule, BeginsByPriorityThenByAcceptance) {
  Schedule schedule({});
  schedule.accept(ticket(1));
  schedule.accept(ticket(2, 5));
  schedule.accept(ticket(3, 5));
  schedule.accept(ticket(4, -1));
  std::vector<Sequence> order;
  while (const auto next = schedule.next()) order.push_back(*next);
  EXPECT_EQ(order, (std::vector<Sequence>{2, 3, 1, 4}));
  EXPECT_EQ(schedule.unfinished(), 4U);
}

TEST(Schedule, TakesACallWholeOrNotAtAll) {
  Schedule schedule({3, 0});
  EXPECT_TRUE(schedule.admits("", 3, 0));
  schedule.accept(ticket(1));
  const auto full = schedule.admits("", 3, 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::resource_exhausted);
  EXPECT_TRUE(full.error().retryable);
  EXPECT_GT(full.error().retry_after_ms, 0);
  const auto never = schedule.admits("", 4, 0);
  EXPECT_FALSE(never.error().retryable) << "waiting would not help a call that is larger than the queue";
  EXPECT_EQ(schedule.next(), Sequence{1});
  schedule.ended(1);
  EXPECT_TRUE(schedule.admits("", 3, 0));
}

TEST(Schedule, CountsEachClientsBytes) {
  Schedule schedule({100, 1000});
  schedule.accept(ticket(1, 0, 900, "a"));
  EXPECT_FALSE(schedule.admits("a", 1, 101));
  EXPECT_TRUE(schedule.admits("a", 1, 100));
  EXPECT_TRUE(schedule.admits("b", 1, 1000));
  EXPECT_FALSE(schedule.admits("b", 1, 1001).error().retryable);
  schedule.next();
  schedule.ended(1);
  EXPECT_TRUE(schedule.admits("a", 1, 1000));
}

TEST(Schedule, ForgetsAClientWithoutBytesAndNotItsTransfers) {
  Schedule schedule({100, 1000});
  schedule.accept(ticket(1, 0, 900, "a"));
  schedule.accept(ticket(2, 0, 0, "a"));
  schedule.accept(ticket(3, 0, 0, "a"));
  while (schedule.next()) continue;
  for (const Sequence one : {1U, 2U, 3U}) schedule.ended(one);
  EXPECT_EQ(schedule.unfinished(), 0U);
  EXPECT_TRUE(schedule.admits("a", 1, 1000));
}

TEST(Schedule, CountsWhatATransferGrowsTo) {
  Schedule schedule({100, 1000});
  schedule.accept(ticket(1, 0, 900, "a"));
  schedule.accept(ticket(2, 0, 10, "a"));
  while (schedule.next()) continue;
  EXPECT_TRUE(schedule.grown(2, 5)) << "less than was thought";
  EXPECT_TRUE(schedule.grown(2, 100));
  EXPECT_FALSE(schedule.admits("a", 1, 1));
  const auto waits = schedule.grown(2, 101);
  ASSERT_FALSE(waits);
  EXPECT_EQ(waits.error().code, Code::resource_exhausted);
  EXPECT_TRUE(waits.error().retryable);
  EXPECT_FALSE(schedule.grown(2, 1001).error().retryable) << "it never fits";
  schedule.ended(1);
  EXPECT_TRUE(schedule.grown(2, 1000));
  schedule.ended(2);
  EXPECT_TRUE(schedule.admits("a", 1, 1000)) << "all of it is given back";
  Schedule free({100, 0});
  free.accept(ticket(1));
  EXPECT_TRUE(free.grown(1, UINT64_MAX)) << "where there is no quota";
}

TEST(Schedule, ExpiresOnlyWhatIsQueued) {
  Schedule schedule({});
  const Clock::time_point start{};
  Ticket first = ticket(1, 1), second = ticket(2);
  first.deadline = start + seconds(1);
  second.deadline = start + seconds(2);
  schedule.accept(first);
  schedule.accept(second);
  EXPECT_EQ(schedule.next_deadline(), start + seconds(1));
  EXPECT_EQ(schedule.next(), Sequence{1});
  EXPECT_EQ(schedule.next_deadline(), start + seconds(2));
  EXPECT_TRUE(schedule.expired(start + milliseconds(1999)).empty());
  EXPECT_EQ(schedule.expired(start + seconds(2)), std::vector<Sequence>{2});
  EXPECT_FALSE(schedule.withdraw(2));
  EXPECT_EQ(schedule.queued(), 0U);
}

TEST(Bandwidth, GivesTheRateThatWasSet) {
  Bandwidth bandwidth(1000);
  Clock::time_point now{};
  std::chrono::nanoseconds waited{};
  for (int i = 0; i < 100; ++i) {
    const auto wait = bandwidth.take(now, 100);
    now += wait;
    waited += wait;
  }
  EXPECT_NEAR(std::chrono::duration<double>(waited).count(), 10.0, 0.2);
  EXPECT_EQ(Bandwidth(0).take(now, 1U << 30U).count(), 0);
}

TEST(BufferPlan, DealsTheBudgetOut) {
  EXPECT_EQ(plan_buffers(64U << 20U, 2)->count, kRequestsPerThread);
  EXPECT_EQ(plan_buffers(64U << 20U, 2)->bytes, kRequestBytes);
  EXPECT_EQ(plan_buffers(3U << 20U, 2)->count, 1U);
  EXPECT_EQ(plan_buffers(10'000, 2)->bytes, 4096U);
  EXPECT_FALSE(plan_buffers(8'000, 2));
  for (std::uint64_t budget = 8192; budget < (20U << 20U); budget = budget * 5 / 3)
    EXPECT_LE(2ULL * plan_buffers(budget, 2)->count * plan_buffers(budget, 2)->bytes, budget);
}

}  // namespace
}  // namespace windlass::stage
