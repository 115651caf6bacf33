#include "plugin/load/cgroup.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "plugin/load/text.hpp"

namespace windlass::load {
namespace {

struct Mount {
  std::string root;   // which part of the hierarchy is mounted
  std::string point;  // where, below the configured `sys`
};

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(by);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Controller -> mount, "" for version 2.
std::map<std::string, Mount, std::less<>> find_mounts(const std::string& proc, const std::string& sys) {
  std::map<std::string, Mount, std::less<>> mounts;
  const auto text = read_file(proc + "/self/mountinfo");
  for (const std::string_view line : lines_of(text ? *text : std::string_view{})) {
    // id parent major:minor root point options [optional]* - type source superoptions
    const auto fields = fields_of(line);
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4 || !fields[4].starts_with("/sys/")) continue;
    const Mount mount{std::string(fields[3]), sys + std::string(fields[4].substr(4))};
    if (dash[1] == "cgroup2") mounts.try_emplace("", mount);
    if (dash[1] != "cgroup") continue;
    for (const std::string_view option : split(dash[3], ',')) mounts.try_emplace(std::string(option), mount);
  }
  return mounts;
}

// The group's folder and those above it up to the mount. In a container the group may lie outside of what is mounted:
// then the mount itself is the nearest that can be seen.
std::vector<std::string> folders_up(const Mount& mount, std::string_view group) {
  std::string_view below = group;
  if (mount.root != "/") below = below.starts_with(mount.root) ? below.substr(mount.root.size()) : std::string_view{};
  if (below.find("/..") != std::string_view::npos) below = {};
  std::vector<std::string> folders;
  while (!below.empty() && below != "/") {
    std::string folder = mount.point + std::string(below);
    if (::access(folder.c_str(), F_OK) == 0) folders.push_back(std::move(folder));
    below = below.substr(0, below.rfind('/'));
  }
  folders.push_back(mount.point);
  return folders;
}

std::optional<double> quota_v2(const std::string& folder) {
  const auto text = read_file(folder + "/cpu.max");
  if (!text) return std::nullopt;
  const auto fields = fields_of(*text);
  if (fields.size() != 2) return std::nullopt;
  const auto quota = number_of(fields[0]);  // "max" is no number
  const auto period = number_of(fields[1]);
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<double> quota_v1(const std::string& folder) {
  const auto quota = read_number(folder + "/cpu.cfs_quota_us");  // "-1" is none
  const auto period = read_number(folder + "/cpu.cfs_period_us");
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

struct MemoryFiles {
  const char* limit;
  const char* used;
  const char* cache_key;  // in memory.stat: page cache that the kernel drops first
};
constexpr MemoryFiles kMemoryV1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};
constexpr MemoryFiles kMemoryV2{"/memory.max", "/memory.current", "inactive_file"};

std::optional<MemoryLimit> limit_of(const std::string& folder, const MemoryFiles& files, std::uint64_t machine_bytes) {
  const auto limit = read_number(folder + files.limit);
  if (!limit || *limit >= machine_bytes) return std::nullopt;
  const auto used = read_number(folder + files.used);
  if (!used) return MemoryLimit{*limit, *limit};
  const auto stat = read_file(folder + "/memory.stat");
  const std::uint64_t cache = std::min(*used, stat ? keyed_number(*stat, files.cache_key).value_or(0) : 0);
  const std::uint64_t held = *used - cache;
  return MemoryLimit{*limit, held >= *limit ? 0 : *limit - held};
}

}  // namespace

CgroupFolders find_cgroups(const std::string& proc, const std::string& sys) {
  CgroupFolders found;
  const auto mounts = find_mounts(proc, sys);
  const auto text = read_file(proc + "/self/cgroup");
  for (const std::string_view line : lines_of(text ? *text : std::string_view{})) {
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view group = line.substr(second + 1);
    for (const std::string_view controller : split(line.substr(first + 1, second - first - 1), ',')) {
      const auto mount = mounts.find(controller);
      if (mount == mounts.end()) continue;
      if (controller.empty()) found.unified = folders_up(mount->second, group);
      if (controller == "cpu") found.cpu = folders_up(mount->second, group);
      if (controller == "cpuacct") found.cpuacct = folders_up(mount->second, group);
      if (controller == "memory") found.memory = folders_up(mount->second, group);
    }
  }
  return found;
}

std::optional<double> cpu_quota(const CgroupFolders& folders) {
  std::optional<double> tightest;
  const auto take = [&](std::optional<double> quota) {
    if (quota && (!tightest || *quota < *tightest)) tightest = quota;
  };
  for (const auto& folder : folders.unified) take(quota_v2(folder));
  for (const auto& folder : folders.cpu) take(quota_v1(folder));
  return tightest;
}

std::optional<double> cpu_used_seconds(const CgroupFolders& folders) {
  if (!folders.cpuacct.empty()) {
    if (const auto ns = read_number(folders.cpuacct.front() + "/cpuacct.usage")) return static_cast<double>(*ns) / 1e9;
  }
  if (folders.unified.empty()) return std::nullopt;
  const auto stat = read_file(folders.unified.front() + "/cpu.stat");
  const auto us = stat ? keyed_number(*stat, "usage_usec") : std::nullopt;
  return us ? std::optional(static_cast<double>(*us) / 1e6) : std::nullopt;
}

std::optional<MemoryLimit> memory_limit(const CgroupFolders& folders, std::uint64_t machine_bytes) {
  std::optional<MemoryLimit> tightest;
  const auto take = [&](std::optional<MemoryLimit> limit) {
    if (!limit) return;
    if (!tightest) tightest = limit;
    tightest->limit_bytes = std::min(tightest->limit_bytes, limit->limit_bytes);
    tightest->available_bytes = std::min(tightest->available_bytes, limit->available_bytes);
  };
  for (const auto& folder : folders.unified) take(limit_of(folder, kMemoryV2, machine_bytes));
  for (const auto& folder : folders.memory) take(limit_of(folder, kMemoryV1, machine_bytes));
  return tightest;
}

}  // namespace windlass::load
