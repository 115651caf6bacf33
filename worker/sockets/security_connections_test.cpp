#include "worker/sockets/security_connections.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;

class ConnectionsTest : public ::testing::Test {
 protected:
  std::vector<int> due(Time now) {
    auto cut = connections.due(now, [this](int fd) { return bytes[fd]; });
    std::ranges::sort(cut);
    return cut;
  }
  Connections connections{{4, 2, 1000, 10s}};
  std::unordered_map<int, std::uint64_t> bytes;
};

TEST_F(ConnectionsTest, TooManyThatHaveNotSpokenAreCutAtOnce) {
  EXPECT_TRUE(connections.accepted(1, {}));
  EXPECT_TRUE(connections.accepted(2, {}));
  EXPECT_FALSE(connections.accepted(3, {}));
  connections.spoke(1);
  EXPECT_TRUE(connections.accepted(4, {}));
}

TEST_F(ConnectionsTest, TooManyAtAllAreCutAtOnce) {
  for (int fd = 1; fd <= 4; ++fd) {
    EXPECT_TRUE(connections.accepted(fd, {}));
    connections.spoke(fd);
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
  connections.spoke(2);
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
  connections.spoke(1);
  connections.accepted(1, Time{} + 1s);  // its having been closed was not told
  EXPECT_EQ(due(Time{} + 11s), std::vector<int>{1});
  EXPECT_EQ(connections.size(), 1U);
}

}  // namespace
}  // namespace windlass::worker
