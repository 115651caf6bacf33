#include "plugin/load/memory.hpp"

#include <algorithm>
#include <limits>

#include "plugin/load/text.hpp"

namespace windlass::load {
namespace {

constexpr std::uint64_t kNumberMax = std::numeric_limits<std::uint64_t>::max();

std::optional<Memory> machine_memory(const std::string& proc) {
  const auto text = read_file(proc + "/meminfo");
  if (!text) return std::nullopt;
  const auto bytes = [&](std::string_view key) -> std::optional<std::uint64_t> {
    const auto kib = keyed_number(*text, key);
    return kib && *kib <= kNumberMax / 1024 ? std::optional(*kib * 1024) : std::nullopt;
  };
  const auto total = bytes("MemTotal:");
  auto available = bytes("MemAvailable:");
  if (!available) available = bytes("MemFree:");  // kernels before 3.14
  if (!total || !available) return std::nullopt;
  return Memory{std::min(*available, *total), *total};
}

}  // namespace

Memory read_memory(const std::string& proc, const CgroupFolders& groups, std::vector<std::string>& degraded) {
  const auto machine = machine_memory(proc);
  if (!machine) degraded.push_back("memory: " + proc + "/meminfo tells no MemTotal and MemAvailable");
  const auto limit = memory_limit(groups, machine ? machine->total_bytes : kNumberMax / 2);
  Memory memory = machine.value_or(Memory{});
  if (limit && machine) memory = {std::min(memory.available_bytes, limit->available_bytes), limit->limit_bytes};
  if (limit && !machine) memory = {limit->available_bytes, limit->limit_bytes};
  return memory;
}

}  // namespace windlass::load
