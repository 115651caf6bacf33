#include "plugin/load/roots.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace windlass::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Roots, TellFreeSpaceAndNameWhatIsMissing) {
  Roots roots({"/", "/no/such/folder", "/"}, stat_root_statvfs, seconds{20});
  std::vector<std::string> degraded;
  const auto found = roots.sample(degraded);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_GT(found.at("/").free_bytes, 0U);
  EXPECT_GT(found.at("/").free_inodes, 0U);
  ASSERT_EQ(degraded.size(), 1U);
  EXPECT_EQ(degraded[0], "roots: /no/such/folder: No such file or directory");
}

// A file system that hangs until it is let go.
struct Hanging {
  std::mutex mutex;
  std::condition_variable changed;
  bool hangs = true;
  std::atomic<int> asked{0};

  int stat(RootSpace& space) {
    ++asked;
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !hangs; });
    space.free_bytes = 5;
    return 0;
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    hangs = false;
    changed.notify_all();
  }
};

TEST(Roots, AFileSystemThatHangsIsNamedAndHoldsUpNobody) {
  const auto hanging = std::make_shared<Hanging>();
  const auto stat = [hanging](const std::string& path, RootSpace& space) {
    return path == "/hung" ? hanging->stat(space) : stat_root_statvfs(path, space);
  };
  Roots roots({"/hung", "/"}, stat, milliseconds{300});
  for (int i = 0; i < 2; ++i) {
    std::vector<std::string> degraded;
    const auto found = roots.sample(degraded);
    EXPECT_EQ(found.count("/hung"), 0U);
    ASSERT_GE(degraded.size(), 1U);
    EXPECT_EQ(degraded[0], "roots: the file system of /hung does not answer");
  }
  EXPECT_EQ(hanging->asked, 1);  // no second question while the first hangs
  hanging->let_go();
  std::vector<std::string> degraded;
  for (int i = 0; i < 100 && roots.sample(degraded).count("/hung") == 0; ++i) {
  }
  degraded.clear();
  EXPECT_EQ(roots.sample(degraded).at("/hung").free_bytes, 5U);
}

TEST(Roots, CanBeClosedWhileOneHangs) {
  const auto hanging = std::make_shared<Hanging>();
  {
    Roots roots(
        {"/hung"}, [hanging](const std::string&, RootSpace& space) { return hanging->stat(space); }, milliseconds{1});
    std::vector<std::string> degraded;
    EXPECT_TRUE(roots.sample(degraded).empty());
  }
  hanging->let_go();
}

}  // namespace
}  // namespace windlass::load
