#include "plugin/stage/unsynced.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <set>

#include "plugin/stage/publish.hpp"
#include "plugin/stage/testing/faulty.hpp"
#include "plugin/stage/testing/folder.hpp"

namespace windlass::stage {
namespace {

// Notes which folders are synced.
class WatchedFs final : public testing::FaultyFs {
 public:
  explicit WatchedFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}
  int sync(int fd) override {
    FileInfo info;
    real_fs().info(fd, info);
    synced.insert(info.key);
    return FaultyFs::sync(fd);
  }
  std::set<FileKey> synced;
};

class UnsyncedTest : public ::testing::Test {
 protected:
  [[nodiscard]] FileKey key(const std::string& name) const {
    FileInfo info;
    EXPECT_EQ(real_fs().info(AT_FDCWD, folder.at(name).c_str(), info), 0) << name;
    return info.key;
  }
  Spot spot(const std::string& name) {
    auto place = parse_place(folder.at(name));
    auto spot = roots.open_parent(*place, true);
    EXPECT_TRUE(spot) << spot.error().message;
    return std::move(*spot);
  }

  testing::Folder folder;
  testing::Faults faults;
  WatchedFs fs{faults};
  Roots roots{fs};
};

TEST_F(UnsyncedTest, WhoDidNotMakeTheFoldersSyncsThemToo) {
  const Spot maker = spot("a/b/one");
  const Spot other = spot("a/b/two");
  EXPECT_EQ(maker.made, 2U);
  EXPECT_EQ(other.made, 0U);
  ASSERT_TRUE(sync_way(fs, roots.unsynced(), other, "two"));
  EXPECT_EQ(fs.synced, (std::set<FileKey>{key("a/b"), key("a"), key("")}));
}

TEST_F(UnsyncedTest, WhatIsSyncedIsNotSyncedAgain) {
  const Spot maker = spot("a/b/one");
  ASSERT_TRUE(sync_way(fs, roots.unsynced(), maker, "one"));
  fs.synced.clear();
  ASSERT_TRUE(sync_way(fs, roots.unsynced(), spot("a/b/two"), "two"));
  EXPECT_EQ(fs.synced, (std::set<FileKey>{key("a/b")}));
}

TEST_F(UnsyncedTest, ANameMadeWhileItsFolderWasSyncedStaysUnsynced) {
  Unsynced unsynced;
  unsynced.name_made_in({1, 2});
  const auto before = unsynced.stamp({1, 2});
  ASSERT_TRUE(before);
  unsynced.name_made_in({1, 2});
  unsynced.synced({1, 2}, *before);
  EXPECT_TRUE(unsynced.stamp({1, 2}));
  EXPECT_FALSE(unsynced.stamp({1, 3}));
}

TEST_F(UnsyncedTest, WhatIsTooMuchToRememberCountsAsUnsynced) {
  Unsynced unsynced;
  for (std::uint64_t i = 0; i <= Unsynced::kFoldersMax; ++i) unsynced.name_made_in({1, i});
  EXPECT_TRUE(unsynced.stamp({9, 9}));
}

}  // namespace
}  // namespace windlass::stage
