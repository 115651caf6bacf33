// Which threads hang and where, told without touching a disk, and what others may begin meanwhile.
#include "plugin/stage/hangs.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "plugin/stage/schedule.hpp"
#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/watch.hpp"

namespace windlass::stage {
namespace {

using std::chrono::milliseconds;

TEST(ParseMounts, TakesWhatItUnderstands) {
  const auto mounts = parse_mounts(
      "22 28 0:21 / /sys rw,nosuid - sysfs sysfs rw\n"
      "35 28 8:17 /sub /mnt/with\\040blank\\134 rw shared:1 - ext4 /dev/sdb1 rw\n"
      "what is this\n"
      "36 28 nonsense / /x rw - y z\n"
      "28 1 254:0 / / rw - ext4 /dev/vda rw");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[1].id, 35U);
  EXPECT_EQ(mounts[1].path, "/mnt/with blank\\");
  EXPECT_EQ(mounts[2].path, "/");
  EXPECT_TRUE(parse_mounts("").empty());
}

TEST(Mounts, TellDevicesOfPathsAndDescriptors) {
  const testing::Folder folder;
  std::filesystem::create_directories(folder.at("disk/in"));
  if (::mount("tmpfs", folder.at("disk").c_str(), "tmpfs", 0, "size=1m") != 0) GTEST_SKIP() << "mounting takes root";
  folder.write("disk/file", "bytes");
  struct stat disk {
  }, above{};
  ASSERT_EQ(::stat(folder.at("disk/file").c_str(), &disk), 0);
  ASSERT_EQ(::stat(folder.at("").c_str(), &above), 0);
  {
    Mounts mounts;
    EXPECT_EQ(mounts.device_of(folder.at("disk/file")), disk.st_dev);
    EXPECT_EQ(mounts.device_of(folder.at("disk")), disk.st_dev);
    EXPECT_NE(mounts.device_of(folder.at("diskette")), disk.st_dev);
    EXPECT_EQ(mounts.device_of(folder.at("missing")), above.st_dev);
    const Fd top(::open(folder.at("").c_str(), O_PATH | O_CLOEXEC));
    const Fd file(::open(folder.at("disk/file").c_str(), O_RDONLY | O_CLOEXEC));
    const Fd in(::open(folder.at("disk").c_str(), O_PATH | O_CLOEXEC));
    EXPECT_EQ(mounts.device_of(file.get()), disk.st_dev);
    EXPECT_EQ(mounts.device_of(in.get()), disk.st_dev);
    EXPECT_EQ(mounts.device_beneath(top.get(), "disk/file"), disk.st_dev);
    EXPECT_EQ(mounts.device_beneath(in.get(), "a/b"), disk.st_dev) << "nothing else is mounted beneath";
    EXPECT_EQ(mounts.device_beneath(top.get(), "link/b"), 0U) << "a link may lead to the disk";
    EXPECT_EQ(mounts.device_beneath(AT_FDCWD, folder.at("disk/file")), disk.st_dev);
    EXPECT_EQ(mounts.device_of(-1), 0U);
    std::filesystem::create_directories(folder.at("later"));
    ASSERT_EQ(::mount("tmpfs", folder.at("later").c_str(), "tmpfs", 0, "size=1m"), 0);
    struct stat later {};
    ::stat(folder.at("later").c_str(), &later);
    EXPECT_NE(mounts.device_of(folder.at("later/x")), later.st_dev);
    mounts.refresh();
    EXPECT_EQ(mounts.device_of(folder.at("later/x")), later.st_dev) << "it sees new mounts";
    ::umount(folder.at("later").c_str());
  }
  ::umount(folder.at("disk").c_str());
}

TEST(Post, TellsWhereItsThreadIs) {
  class WaitingFs final : public testing::FaultyFs {
   public:
    explicit WaitingFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}
    int sync(int) override {
      EXPECT_TRUE(look && look->look().inside);
      return look ? look->look().fd : -1;
    }
    int open(int, const char*, int, mode_t, std::uint64_t) override {
      path = look->look().path;
      return -ENOENT;
    }
    Post* look = nullptr;
    std::string path;
  };
  testing::Faults faults;
  WaitingFs under(faults);
  WatchedFs fs(under);
  Post post;
  under.look = &post;
  const std::uint64_t before = post.look().moves;
  {
    const AtPost here(post);
    EXPECT_EQ(fs.sync(77), 77);
    fs.open(5, "far/away", 0, 0, 0);
    EXPECT_EQ(under.path, "far/away");
    fs.open(5, "name", 0, 0, 0);
    EXPECT_EQ(under.path, "") << "a name alone lies where its folder does";
  }
  EXPECT_FALSE(post.look().inside);
  EXPECT_EQ(post.look().moves, before + 6);
  under.look = nullptr;
  WatchedFs(under).info(AT_FDCWD, "/", *std::make_unique<FileInfo>());
  EXPECT_EQ(post.look().moves, before + 6) << "a thread without a post is not watched";
}

TEST(Hangs, AreCallsThatLastASecond) {
  Hangs hangs;
  Hangs::Time now{};
  const int one = 0, two = 0;
  const auto tick = [&](std::uint64_t moves_of_one) {
    hangs.begin();
    if (hangs.look(&one, moves_of_one, now)) hangs.hangs_in(7);
    if (hangs.look(&two, 3, now)) hangs.hangs_in(0);
    hangs.end();
  };
  tick(1);
  now += milliseconds(999);
  tick(1);
  EXPECT_EQ(hangs.threads(), 0U);
  now += milliseconds(1);
  tick(1);
  EXPECT_EQ(hangs.threads(), 2U);
  EXPECT_FALSE(hangs.free({7, 9}));
  EXPECT_FALSE(hangs.free({1, 7}));
  EXPECT_TRUE(hangs.open({7, 9})) << "it keeps one thread, and may keep three";
  EXPECT_TRUE(hangs.free({8, 9}));
  EXPECT_TRUE(hangs.free({0, 0})) << "where a thread hangs unknown nobody is blamed";
  hangs.hangs_in(7);
  hangs.hangs_in(7);
  EXPECT_FALSE(hangs.open({7, 9}));
  tick(5);
  EXPECT_EQ(hangs.threads(), 1U) << "the first has got on";
  EXPECT_TRUE(hangs.free({7, 9}));
  hangs.begin();
  hangs.end();
  EXPECT_EQ(hangs.threads(), 0U);
}

TEST(Schedule, PassesOverWhatMayNotBeTouched) {
  Schedule schedule({});
  for (Sequence i = 1; i <= 6; ++i) {
    Ticket ticket{i, i == 5 ? 1 : 0, 0, "", std::nullopt, {}, {}};
    ticket.devices = i % 2 == 1 ? Devices{1, 2} : Devices{1, 3};
    schedule.accept(ticket);
  }
  const MayBegin without_two = [](const Devices& devices) { return devices.one != 2 && devices.other != 2; };
  EXPECT_EQ(schedule.next(without_two), Sequence{2});
  EXPECT_EQ(schedule.next(), Sequence{5}) << "the highest priority, whichever device";
  EXPECT_EQ(schedule.next(), Sequence{1});
  EXPECT_TRUE(schedule.withdraw(6));
  EXPECT_EQ(schedule.next(without_two), Sequence{4});
  EXPECT_FALSE(schedule.has_next(without_two));
  EXPECT_EQ(schedule.next(without_two), std::nullopt);
  EXPECT_EQ(schedule.queued(), 1U);
  EXPECT_EQ(schedule.next(), Sequence{3});
}

}  // namespace
}  // namespace windlass::stage
