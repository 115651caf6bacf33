#include "plugin/load/rates.hpp"

#include <gtest/gtest.h>

#include "plugin/load/fixture_tree.hpp"

namespace windlass::load {
namespace {

using std::chrono::seconds;
constexpr DiskRates::Clock::time_point kStart{seconds{50}};

std::string disk_line(const std::string& name, int read_sectors, int written_sectors, int busy_ms) {
  return "   8       0 " + name + " 10 0 " + std::to_string(read_sectors) + " 5 20 0 " +
         std::to_string(written_sectors) + " 7 0 " + std::to_string(busy_ms) + " 12\n";
}

TEST(DiskRates, AreDifferencesOfWholeDevices) {
  const FixtureTree tree;
  std::vector<std::string> degraded;
  DiskRates disk;
  tree.put("sys/class/block/sda1/partition", "1\n");
  tree.put("proc/diskstats",
           disk_line("sda", 100, 200, 1000) + disk_line("sda1", 1, 1, 1) + disk_line("loop0", 0, 0, 0));
  auto rates = disk.sample(tree.proc(), tree.sys(), kStart, degraded);
  ASSERT_EQ(rates.size(), 1U);
  EXPECT_EQ(rates["sda"].read_bytes_per_s, 0);
  tree.put("proc/diskstats", disk_line("sda", 300, 600, 2500));
  rates = disk.sample(tree.proc(), tree.sys(), kStart + seconds{2}, degraded);
  EXPECT_DOUBLE_EQ(rates["sda"].read_bytes_per_s, 100 * 512);
  EXPECT_DOUBLE_EQ(rates["sda"].write_bytes_per_s, 200 * 512);
  EXPECT_DOUBLE_EQ(rates["sda"].busy_ratio, 0.75);
  EXPECT_TRUE(degraded.empty());
}

TEST(DiskRates, FallingCountersAndStandingClocksGiveZero) {
  const FixtureTree tree;
  std::vector<std::string> degraded;
  DiskRates disk;
  tree.put("proc/diskstats", disk_line("sda", 100, 200, 1000));
  disk.sample(tree.proc(), tree.sys(), kStart, degraded);
  tree.put("proc/diskstats", disk_line("sda", 50, 200, 0));
  EXPECT_EQ(disk.sample(tree.proc(), tree.sys(), kStart + seconds{1}, degraded)["sda"].read_bytes_per_s, 0);
  tree.put("proc/diskstats", disk_line("sda", 90, 200, 9000));
  EXPECT_EQ(disk.sample(tree.proc(), tree.sys(), kStart + seconds{1}, degraded)["sda"].read_bytes_per_s, 0);
  tree.put("proc/diskstats", disk_line("sda", 91, 200, 99000));
  EXPECT_EQ(disk.sample(tree.proc(), tree.sys(), kStart + seconds{2}, degraded)["sda"].busy_ratio, 1.0);
}

TEST(DiskRates, MissingFileIsSaidAndGarbageSkipped) {
  const FixtureTree tree;
  std::vector<std::string> degraded;
  DiskRates disk;
  EXPECT_TRUE(disk.sample(tree.proc(), tree.sys(), kStart, degraded).empty());
  EXPECT_EQ(degraded.size(), 1U);
  tree.put("proc/diskstats", "8 0 sda\n\n8 0 sdb a b c d e f g h i j k\n");
  EXPECT_TRUE(disk.sample(tree.proc(), tree.sys(), kStart, degraded).empty());
}

TEST(NetRates, AreDifferencesByInterface) {
  const FixtureTree tree;
  std::vector<std::string> degraded;
  NetRates net;
  const std::string head =
      "Inter-|   Receive                    |  Transmit\n face |bytes    packets errs|bytes    packets errs\n";
  const std::string rest = " 1 0 0 0 0 0 0 ";
  tree.put("proc/net/dev",
           head + "    lo: 10" + rest + "10 1 0 0 0 0 0 0\n  eth0:1000" + rest + "2000 1 0 0 0 0 0 0\n");
  EXPECT_EQ(net.sample(tree.proc(), kStart, degraded).size(), 2U);
  tree.put("proc/net/dev",
           head + "  eth0:5000" + rest + "2500 1 0 0 0 0 0 0\n  eth1: 7" + rest + "7 1 0 0 0 0 0 0\n bad: x\n");
  auto rates = net.sample(tree.proc(), kStart + seconds{4}, degraded);
  ASSERT_EQ(rates.size(), 2U);
  EXPECT_DOUBLE_EQ(rates["eth0"].receive_bytes_per_s, 1000);
  EXPECT_DOUBLE_EQ(rates["eth0"].transmit_bytes_per_s, 125);
  EXPECT_EQ(rates["eth1"].receive_bytes_per_s, 0);
  EXPECT_TRUE(degraded.empty());
  tree.remove("proc/net");
  net.sample(tree.proc(), kStart + seconds{5}, degraded);
  EXPECT_EQ(degraded.size(), 1U);
}

}  // namespace
}  // namespace windlass::load
