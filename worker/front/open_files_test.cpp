#include "worker/front/open_files.hpp"

#include <gtest/gtest.h>

#include "worker/core/limits.hpp"
#include "worker/front/front_limits.hpp"

namespace windlass::worker {
namespace {

TEST(OpenFilesTest, WithoutKeysAllThatIsNotKeptIsTheFronts) {
  EXPECT_EQ(share_open_files(20'000, false).front, 20'000 - kDescriptorsKept);
  EXPECT_EQ(share_open_files(20'000, false).keyed, 0U);
  EXPECT_EQ(share_open_files(100, false).front, 50U);
  EXPECT_EQ(share_open_files(0, false).front, 0U);
}

TEST(OpenFilesTest, WithKeysBothTogetherTakeNoMoreThanTheFrontWould) {
  for (const std::size_t limit : {0UL, 10UL, 196UL, 197UL, 256UL, 1024UL, 20'000UL, 1UL << 24U}) {
    const OpenFiles both = share_open_files(limit, true);
    EXPECT_EQ(both.front + both.keyed, share_open_files(limit, false).front) << limit;
    EXPECT_LE(both.keyed, kKeyedConnectionsMax);
    EXPECT_LE(both.keyed, both.front) << limit;
  }
  EXPECT_EQ(share_open_files(20'000, true).keyed, kKeyedConnectionsMax);
}

}  // namespace
}  // namespace windlass::worker
