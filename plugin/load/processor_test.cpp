#include "plugin/load/processor.hpp"

#include <gtest/gtest.h>

#include "plugin/load/fixture_tree.hpp"

namespace windlass::load {
namespace {

using std::chrono::seconds;

struct Machine {
  FixtureTree tree;
  std::vector<std::string> degraded;
  BusyShare share;
  BusyShare::Clock::time_point now{seconds{100}};

  Machine() { tree.put_machine(); }
  Processors processors() {
    return find_processors(tree.proc(), tree.sys(), find_cgroups(tree.proc(), tree.sys()), degraded);
  }
  double sample() {
    now += seconds{1};
    return share.sample(tree.proc(), processors(), find_cgroups(tree.proc(), tree.sys()), now, degraded);
  }
};

TEST(Processor, ListsAreReadAndGarbageIsNot) {
  EXPECT_EQ(processor_list("0-2,5\n"), (std::set<unsigned>{0, 1, 2, 5}));
  EXPECT_EQ(processor_list("\t7"), (std::set<unsigned>{7}));
  for (const char* wrong : {"", "a", "3-1", "1,,2", "0-99999999", "-3", "1-"})
    EXPECT_FALSE(processor_list(wrong)) << wrong;
}

TEST(Processor, CoresAreThoseAllowedAndOnline) {
  Machine machine;
  EXPECT_EQ(machine.processors().cores, 4);
  machine.tree.put("proc/self/status", "Cpus_allowed_list:\t1,3-9\n");
  EXPECT_EQ(machine.processors().cores, 2);
  machine.tree.remove("sys/devices");
  EXPECT_EQ(machine.processors().cores, 8);
  EXPECT_TRUE(machine.degraded.empty());
}

TEST(Processor, AQuotaMakesCoresAFraction) {
  Machine machine;
  machine.tree.put_cgroup_v2("/");
  machine.tree.put("sys/fs/cgroup/cpu.max", "150000 100000");
  EXPECT_EQ(machine.processors().cores, 1.5);
  machine.tree.put("sys/fs/cgroup/cpu.max", "900000 100000");
  EXPECT_EQ(machine.processors().cores, 4);
}

TEST(Processor, WithoutStatusTheMachineIsCountedAndItIsSaid) {
  Machine machine;
  for (const char* status : {"", "Cpus_allowed_list: rubbish\n", "Cpus_allowed_list:\t64\n"}) {
    machine.tree.put("proc/self/status", status);
    machine.degraded.clear();
    EXPECT_GE(machine.processors().cores, 1);
    EXPECT_EQ(machine.degraded.size(), 1U);
  }
}

TEST(BusyShare, IsOfTheAllowedProcessorsOnly) {
  Machine machine;
  machine.tree.put("proc/self/status", "Cpus_allowed_list:\t0-1\n");
  machine.tree.put(
      "proc/stat",
      "cpu  9 9 9 9\ncpu0 10 0 0 90 0 0 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0 0 0\ncpu2 0 0 0 100 0 0 0 0 0 0\n");
  EXPECT_EQ(machine.sample(), 0);
  // In the meantime: cpu0 50 busy of 100 (of them 10 user, 40 steal), cpu1 waits for the disk, cpu2 is wholly busy.
  machine.tree.put(
      "proc/stat",
      "cpu  9 9 9 9\ncpu0 20 0 0 140 0 0 0 40 0 0\ncpu1 0 0 0 150 50 0 0 0 0 0\ncpu2 100 0 0 100 0 0 0 0 0 0\n");
  EXPECT_DOUBLE_EQ(machine.sample(), 0.25);
}

TEST(BusyShare, OfAQuotaIsWhatTheGroupUsed) {
  Machine machine;
  machine.tree.put_cgroup_v2("/");
  machine.tree.put("sys/fs/cgroup/cpu.max", "200000 100000");
  machine.tree.put("sys/fs/cgroup/cpu.stat", "usage_usec 1000000\n");
  EXPECT_EQ(machine.sample(), 0);
  machine.tree.put("sys/fs/cgroup/cpu.stat", "usage_usec 1500000\n");
  EXPECT_DOUBLE_EQ(machine.sample(), 0.25);
  machine.tree.put("sys/fs/cgroup/cpu.stat", "usage_usec 9500000\n");
  EXPECT_DOUBLE_EQ(machine.sample(), 1.0);
  machine.tree.put("sys/fs/cgroup/cpu.stat", "usage_usec 0\n");  // moved to a fresh group
  EXPECT_DOUBLE_EQ(machine.sample(), 0.0);
}

TEST(BusyShare, WithoutStatIsZeroAndSaysSo) {
  Machine machine;
  machine.tree.put("proc/stat", "cpu0 1 2 3\ncpux 1 2 3 4 5\ngarbage\n");
  EXPECT_EQ(machine.sample(), 0);
  EXPECT_EQ(machine.degraded.size(), 1U);
}

}  // namespace
}  // namespace windlass::load
