#include "worker/sockets/security_connections.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "worker/core/limits.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;

class ConnectionsTest : public ::testing::Test {
 protected:
  std::vector<int> due(Time at) {
    auto cut = connections.due(at, [this](int fd) { return bytes[fd]; });
    std::ranges::sort(cut);
    return cut;
  }
  // At the next look.
  std::vector<int> holding() {
    now += kHeldLook;
    return connections.holding(now, [this](int fd) { return bytes[fd]; });
  }
  // It is there, and said something at once.
  void come(int fd) {
    EXPECT_TRUE(connections.accepted(fd, now));
    EXPECT_TRUE(connections.spoke(fd, std::to_string(fd), 10, 5000));
  }
  Connections connections{{4, 2, 1000, 10s, 12'000}};
  std::unordered_map<int, std::uint64_t> bytes;
  Time now{};
};

TEST_F(ConnectionsTest, TooManyThatHaveNotSpokenAreCutAtOnce) {
  EXPECT_TRUE(connections.accepted(1, {}));
  EXPECT_TRUE(connections.accepted(2, {}));
  EXPECT_FALSE(connections.accepted(3, {}));
  connections.spoke(1, "one", 10, 5000);
  EXPECT_TRUE(connections.accepted(4, {}));
}

TEST_F(ConnectionsTest, TooManyAtAllAreCutAtOnce) {
  for (int fd = 1; fd <= 4; ++fd) {
    EXPECT_TRUE(connections.accepted(fd, {}));
    connections.spoke(fd, std::to_string(fd), 10, 5000);
  }
  EXPECT_FALSE(connections.accepted(5, {}));
  connections.closed(5);
  connections.closed(1);
  EXPECT_TRUE(connections.accepted(6, {}));
}

TEST_F(ConnectionsTest, WhoeverStaysSilentIsCutOnce) {
  connections.accepted(1, Time{});
  connections.accepted(2, Time{} + 5s);
  EXPECT_TRUE(due(Time{} + 9s).empty());
  EXPECT_EQ(due(Time{} + 10s), std::vector<int>{1});
  EXPECT_TRUE(due(Time{} + 11s).empty());
  connections.spoke(2, "two", 10, 5000);
  EXPECT_TRUE(due(Time{} + 99s).empty());
  EXPECT_FALSE(connections.any_silent());
}

TEST_F(ConnectionsTest, WhoeverSendsMoreThanAGreetingWithoutAMessageIsCut) {
  connections.accepted(1, {});
  bytes[1] = 1000;
  EXPECT_TRUE(due({}).empty());
  bytes[1] = 1001;
  EXPECT_EQ(due({}), std::vector<int>{1});
}

TEST_F(ConnectionsTest, AnotherWithTheSameNumberBeginsAnew) {
  connections.accepted(1, {});
  connections.spoke(1, "one", 10, 5000);
  connections.accepted(1, Time{} + 1s);  // its having been closed was not told
  EXPECT_EQ(due(Time{} + 11s), std::vector<int>{1});
  EXPECT_EQ(connections.size(), 1U);
}

TEST_F(ConnectionsTest, WhoseConnectionEndsIsToldOfOnce) {
  come(1);
  come(2);
  EXPECT_TRUE(connections.take_ended().empty());
  connections.closed(1);
  connections.closed(1);
  EXPECT_EQ(connections.take_ended(), std::vector<std::string>{"1"});
  EXPECT_TRUE(connections.accepted(3, now));
  connections.closed(3);
  EXPECT_TRUE(connections.take_ended().empty()) << "who never spoke has no route";
  EXPECT_FALSE(connections.spoke(1, "1", 10, 5000)) << "its last word came after its end";
  EXPECT_TRUE(connections.accepted(2, now));  // the end of the one before was not told
  EXPECT_EQ(connections.take_ended(), std::vector<std::string>{"2"});
  EXPECT_TRUE(connections.spoke(2, "late", 10, 5000));
  EXPECT_TRUE(connections.spoke(2, "another", 10, 5000));
  EXPECT_EQ(connections.take_ended(), std::vector<std::string>{"late"});
}

TEST_F(ConnectionsTest, WhoeverSendsMoreThanAMessageMayTakeWithoutEndingOneIsCut) {
  come(1);
  bytes[1] = 300;  // of the handshake
  EXPECT_TRUE(holding().empty());
  bytes[1] += 4900;
  EXPECT_TRUE(holding().empty());
  bytes[1] += 200;
  EXPECT_TRUE(holding().empty()) << "now it has too much, and next time still";
  EXPECT_EQ(holding(), std::vector<int>{1});
  EXPECT_EQ(connections.take_ended(), std::vector<std::string>{"1"});
  EXPECT_TRUE(holding().empty());
}

TEST_F(ConnectionsTest, WhatCameRightBehindAMessageCountsToo) {
  come(1);
  bytes[1] = 20'010;
  EXPECT_TRUE(holding().empty());
  EXPECT_TRUE(holding().empty());
  EXPECT_EQ(holding(), std::vector<int>{1});
}

TEST_F(ConnectionsTest, WhoEndsItsMessageBetweenTwoLooksIsNotCut) {
  come(1);
  for (int round = 0; round < 5; ++round) {
    holding();
    bytes[1] += 10'000;  // all of which waited while nobody looked
    EXPECT_TRUE(holding().empty());
    connections.spoke(1, "1", 10'000, 5000);
    EXPECT_TRUE(holding().empty());
  }
}

TEST_F(ConnectionsTest, WhatMessagesTakeBesidesTheirOwnBytesDoesNotAddUp) {
  come(1);
  for (int message = 0; message < 10'000; ++message) {
    bytes[1] += 1100;
    connections.spoke(1, "1", 1000, 5000);
    ASSERT_TRUE(holding().empty());
  }
  EXPECT_TRUE(holding().empty());
  EXPECT_TRUE(holding().empty());
}

TEST_F(ConnectionsTest, PingsForDaysAreNoMessage) {
  come(1);
  holding();
  for (int look = 0; look < 100'000; ++look) {
    if (look % 4 == 0) bytes[1] += kPingBytesPerSecond;
    ASSERT_TRUE(holding().empty());
  }
}

TEST_F(ConnectionsTest, WhereAllTogetherHoldTooMuchWhoeverHoldsMostIsCut) {
  for (const int fd : {1, 2, 3, 4}) come(fd);
  holding();
  bytes = {{1, 4000}, {2, 4500}, {3, 4900}, {4, 17}};
  EXPECT_TRUE(holding().empty());
  bytes[4] = 6000;
  EXPECT_EQ(holding(), std::vector<int>{3}) << "and the fourth has its time";
  connections.spoke(4, "4", 6000, 5000);
  for (int look = 0; look < 5; ++look) EXPECT_TRUE(holding().empty());
}

}  // namespace
}  // namespace windlass::worker
