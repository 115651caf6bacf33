#include "plugin/load/cgroup.hpp"

#include <gtest/gtest.h>

#include "plugin/load/fixture_tree.hpp"
#include "plugin/load/memory.hpp"

namespace windlass::load {
namespace {

constexpr std::uint64_t kMachine = 8192 * kMiB;

CgroupFolders find(const FixtureTree& tree) {
  return find_cgroups(tree.proc(), tree.sys());
}

TEST(Cgroup, NoneAnywhereLimitsNothing) {
  const FixtureTree tree;
  EXPECT_EQ(cpu_quota(find(tree)), std::nullopt);
  EXPECT_FALSE(memory_limit(find(tree), kMachine));
  EXPECT_EQ(cpu_used_seconds(find(tree)), std::nullopt);
}

TEST(Cgroup, V2TakesTheTightestLevel) {
  const FixtureTree tree;
  tree.put_cgroup_v2("/a/b");
  tree.put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  tree.put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  tree.put("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  tree.put("sys/fs/cgroup/a/b/memory.current", "10\n");
  tree.put("sys/fs/cgroup/a/memory.max", "2147483648\n");
  tree.put("sys/fs/cgroup/a/memory.current", "2147483548\n");
  tree.put("sys/fs/cgroup/a/b/cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
  EXPECT_EQ(cpu_quota(find(tree)), 1.5);
  const auto limit = memory_limit(find(tree), kMachine);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit_bytes, 1024 * kMiB);
  EXPECT_EQ(limit->available_bytes, 100U);  // the outer group is all but full
  EXPECT_EQ(cpu_used_seconds(find(tree)), 2.5);
}

TEST(Cgroup, PageCacheThatCanGoCountsAsAvailable) {
  const FixtureTree tree;
  tree.put_cgroup_v2("/a");
  tree.put("sys/fs/cgroup/a/memory.max", "1000\n");
  tree.put("sys/fs/cgroup/a/memory.current", "900\n");
  tree.put("sys/fs/cgroup/a/memory.stat", "anon 200\ninactive_file 600\nactive_file 100\n");
  EXPECT_EQ(memory_limit(find(tree), kMachine)->available_bytes, 700U);
}

TEST(Cgroup, V1ReadsQuotaUsageAndLimit) {
  const FixtureTree tree;
  tree.put_cgroup_v1("/job");
  tree.put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
  tree.put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  tree.put("sys/fs/cgroup/cpu,cpuacct/job/cpuacct.usage", "3000000000\n");
  tree.put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000\n");
  tree.put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "900\n");
  tree.put("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n");
  tree.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cpu_quota(find(tree)), 0.5);
  EXPECT_EQ(cpu_used_seconds(find(tree)), 3.0);
  const auto limit = memory_limit(find(tree), kMachine);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit_bytes, 1000U);
  EXPECT_EQ(limit->available_bytes, 400U);
}

TEST(Cgroup, V1WithoutQuotaAndWithTheKernelsLargestLimitIsFree) {
  const FixtureTree tree;
  tree.put_cgroup_v1("/");
  tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  tree.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cpu_quota(find(tree)), std::nullopt);
  EXPECT_FALSE(memory_limit(find(tree), kMachine));
}

TEST(Cgroup, WhereBothVersionsAreMountedTheTighterHolds) {
  const FixtureTree tree;
  tree.put("proc/self/mountinfo",
           "31 30 0:27 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
           "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
           "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  tree.put("proc/self/cgroup", "4:memory:/m\n3:cpu:/c\n0::/u\n");
  tree.put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1000\n");
  tree.put("sys/fs/cgroup/memory/m/memory.usage_in_bytes", "100\n");
  tree.put("sys/fs/cgroup/unified/u/memory.max", "2000\n");
  tree.put("sys/fs/cgroup/unified/u/memory.current", "1500\n");
  tree.put("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "400000\n");
  tree.put("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
  tree.put("sys/fs/cgroup/unified/u/cpu.max", "300000 100000\n");
  EXPECT_EQ(cpu_quota(find(tree)), 3.0);
  const auto limit = memory_limit(find(tree), kMachine);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit_bytes, 1000U);
  EXPECT_EQ(limit->available_bytes, 500U);
}

TEST(Cgroup, InAContainerTheMountStandsForTheGroup) {
  const FixtureTree tree;
  tree.put("proc/self/mountinfo", "33 30 0:29 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
  tree.put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  tree.put("sys/fs/cgroup/inner/cpu.max", "100000 100000\n");
  tree.put("proc/self/cgroup", "0::/docker/abc\n");
  EXPECT_EQ(cpu_quota(find(tree)), 2.0);
  tree.put("proc/self/cgroup", "0::/docker/abc/inner\n");
  EXPECT_EQ(cpu_quota(find(tree)), 1.0);
  for (const char* outside : {"0::/../other\n", "0::/elsewhere\n", "0::/\n"}) {
    tree.put("proc/self/cgroup", outside);
    EXPECT_EQ(cpu_quota(find(tree)), 2.0) << outside;
  }
}

TEST(Cgroup, GarbageIsAsGoodAsNothing) {
  const FixtureTree tree;
  for (const char* mounts : {"", "- - -", "1 2 3", "33 30 0:29 / /sys/fs/cgroup - cgroup2\n", "\xff\n\n - \n"}) {
    tree.put("proc/self/mountinfo", mounts);
    tree.put("proc/self/cgroup", "x\n::\n0:\n0::/a\n\n");
    EXPECT_EQ(cpu_quota(find(tree)), std::nullopt);
  }
  tree.put_cgroup_v2("/a");
  for (const char* quota : {"", "100000", "0 100000", "100000 0", "x y", "-5 100000", "1 2 3"}) {
    tree.put("sys/fs/cgroup/a/cpu.max", quota);
    EXPECT_EQ(cpu_quota(find(tree)), std::nullopt) << quota;
  }
  tree.put("sys/fs/cgroup/a/memory.max", "1000");
  tree.put("sys/fs/cgroup/a/memory.current", "many");
  EXPECT_EQ(memory_limit(find(tree), kMachine)->available_bytes, 1000U);
  tree.put("sys/fs/cgroup/a/memory.current", "5000");
  EXPECT_EQ(memory_limit(find(tree), kMachine)->available_bytes, 0U);
}

TEST(Memory, IsTheMachinesUnlessAGroupLeavesLess) {
  const FixtureTree tree;
  tree.put_machine();
  std::vector<std::string> degraded;
  Memory memory = read_memory(tree.proc(), {}, degraded);
  EXPECT_EQ(memory.total_bytes, 8192 * kMiB);
  EXPECT_EQ(memory.available_bytes, 4096 * kMiB);
  tree.put_cgroup_v2("/a");
  tree.put("sys/fs/cgroup/a/memory.max", "6442450944");  // 6 GiB, of which 5 are left: the machine has less
  tree.put("sys/fs/cgroup/a/memory.current", "1073741824");
  memory = read_memory(tree.proc(), find(tree), degraded);
  EXPECT_EQ(memory.total_bytes, 6144 * kMiB);
  EXPECT_EQ(memory.available_bytes, 4096 * kMiB);
  EXPECT_TRUE(degraded.empty());
}

TEST(Memory, WithoutMeminfoTheGroupsLimitIsWhatIsKnown) {
  const FixtureTree tree;
  tree.put_cgroup_v2("/a");
  tree.put("sys/fs/cgroup/a/memory.max", "1000");
  tree.put("sys/fs/cgroup/a/memory.current", "300");
  std::vector<std::string> degraded;
  const Memory memory = read_memory(tree.proc(), find(tree), degraded);
  EXPECT_EQ(memory.total_bytes, 1000U);
  EXPECT_EQ(memory.available_bytes, 700U);
  EXPECT_EQ(degraded.size(), 1U);
}

}  // namespace
}  // namespace windlass::load
