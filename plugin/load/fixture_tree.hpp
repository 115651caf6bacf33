// For tests: a folder that holds a made-up /proc and /sys and goes away with the object.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace windlass::load {

class FixtureTree {
 public:
  FixtureTree() {
    std::string name = (std::filesystem::temp_directory_path() / "windlass-load-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    top_ = name;
  }
  ~FixtureTree() { std::filesystem::remove_all(top_); }
  FixtureTree(const FixtureTree&) = delete;
  FixtureTree& operator=(const FixtureTree&) = delete;

  std::string proc() const { return top_ / "proc"; }
  std::string sys() const { return top_ / "sys"; }

  // `path` begins with "proc/" or "sys/".
  void put(const std::string& path, std::string_view text) const {
    std::filesystem::create_directories((top_ / path).parent_path());
    std::ofstream(top_ / path, std::ios::binary) << text;
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(top_ / path); }

  // A machine of four processors and 8 GiB without control groups.
  void put_machine() const {
    put("proc/self/status", "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n");
    put("sys/devices/system/cpu/online", "0-3\n");
    put("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         1048576 kB\nMemAvailable:    4194304 kB\n");
    put("proc/stat", "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n");
    for (const char* resource : {"cpu", "memory", "io"}) {
      put(std::string("proc/pressure/") + resource,
          "some avg10=1.50 avg60=0.25 avg300=0.00 total=12\nfull avg10=0.50 avg60=0.75 avg300=0.00 total=3\n");
    }
    put("proc/diskstats", "");
    put("proc/net/dev", "Inter-|   Receive  |  Transmit\n face |bytes    packets\n");
    put("proc/self/cgroup", "");
    put("proc/self/mountinfo", "");
  }
  void put_cgroup_v2(std::string_view group) const {
    put("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::" + std::string(group) + "\n");
  }
  void put_cgroup_v1(std::string_view group) const {
    put("proc/self/mountinfo",
        "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("proc/self/cgroup", "4:memory:" + std::string(group) + "\n3:cpu,cpuacct:" + std::string(group) + "\n");
  }

 private:
  std::filesystem::path top_;
};

inline constexpr std::uint64_t kMiB = 1048576;

}  // namespace windlass::load
