// What control groups leave to this process. Version 1 and 2 may be mounted side by side: both are read, on every level
// from the process's group up to the mount, and the tightest limit holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace windlass::load {

// The folders of one controller (or of version 2) that apply to this process, innermost first.
struct CgroupFolders {
  std::vector<std::string> unified;               // version 2
  std::vector<std::string> cpu, cpuacct, memory;  // version 1
};

// `proc` and `sys` as in Options; mount points below /sys are looked for below `sys`. Empty lists where there is
// nothing.
CgroupFolders find_cgroups(const std::string& proc, const std::string& sys);

struct MemoryLimit {
  std::uint64_t limit_bytes;      // the tightest
  std::uint64_t available_bytes;  // the least that any level leaves; page cache that can be dropped counts as available
};

// Processors as a fraction; nothing where no quota is set.
std::optional<double> cpu_quota(const CgroupFolders& folders);
// Processor time used by the innermost group, in seconds.
std::optional<double> cpu_used_seconds(const CgroupFolders& folders);
// Nothing where no limit is set. `machine_bytes`: limits at or above it are none.
std::optional<MemoryLimit> memory_limit(const CgroupFolders& folders, std::uint64_t machine_bytes);

}  // namespace windlass::load
