// Memory of the machine, or less where a control group limits this process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugin/load/cgroup.hpp"

namespace windlass::load {

struct Memory {
  std::uint64_t available_bytes = 0;
  std::uint64_t total_bytes = 0;
};
Memory read_memory(const std::string& proc, const CgroupFolders& groups, std::vector<std::string>& degraded);

}  // namespace windlass::load
