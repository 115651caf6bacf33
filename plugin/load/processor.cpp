#include "plugin/load/processor.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "plugin/load/text.hpp"

namespace windlass::load {
namespace {

constexpr std::uint64_t kProcessorMax = 65535;

std::optional<std::set<unsigned>> allowed_of(const std::string& proc) {
  const auto status = read_file(proc + "/self/status");
  for (const std::string_view line : lines_of(status ? *status : std::string_view{})) {
    constexpr std::string_view key = "Cpus_allowed_list:";
    if (line.starts_with(key)) return processor_list(line.substr(key.size()));
  }
  return std::nullopt;
}

double difference(std::uint64_t now, std::uint64_t before) {
  return now > before ? static_cast<double>(now - before) : 0;
}

}  // namespace

std::optional<std::set<unsigned>> processor_list(std::string_view text) {
  std::set<unsigned> processors;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  for (;;) {
    const auto comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const auto dash = part.find('-');
    const auto first = number_of(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of(part.substr(dash + 1));
    if (!first || !last || *last < *first || *last > kProcessorMax) return std::nullopt;
    for (auto p = *first; p <= *last; ++p) processors.insert(static_cast<unsigned>(p));
    if (comma == std::string_view::npos) return processors;
    text.remove_prefix(comma + 1);
  }
}

Processors find_processors(const std::string& proc, const std::string& sys, const CgroupFolders& groups,
                           std::vector<std::string>& degraded) {
  Processors found;
  if (auto allowed = allowed_of(proc)) {
    found.allowed = std::move(*allowed);
    const auto text = read_file(sys + "/devices/system/cpu/online");
    if (const auto online = text ? processor_list(*text) : std::nullopt) {
      std::erase_if(found.allowed, [&](unsigned p) { return !online->contains(p); });
    }
  }
  found.quota = cpu_quota(groups);
  found.cores = static_cast<double>(found.allowed.size());
  if (found.allowed.empty()) {
    degraded.push_back("cores: " + proc + "/self/status names no allowed processors; counting those of the machine");
    found.cores = std::max(1U, std::thread::hardware_concurrency());
  }
  if (found.quota) found.cores = std::min(found.cores, *found.quota);
  return found;
}

std::optional<BusyShare::Ticks> BusyShare::read_ticks(const std::string& proc, const std::set<unsigned>& allowed) {
  const auto text = read_file(proc + "/stat");
  if (!text) return std::nullopt;
  Ticks sum;
  bool found = false;
  for (const std::string_view line : lines_of(*text)) {
    // cpuN user nice system idle iowait irq softirq steal guest guest_nice; guest time is part of user time
    if (!line.starts_with("cpu")) continue;
    const auto fields = fields_of(line);
    const auto number = number_of(fields[0].substr(3));
    if (fields.size() < 5 || !number || (!allowed.empty() && !allowed.contains(static_cast<unsigned>(*number))))
      continue;
    found = true;
    for (std::size_t i = 1; i < std::min<std::size_t>(fields.size(), 9); ++i) {
      const std::uint64_t ticks = number_of(fields[i]).value_or(0);
      sum.all += ticks;
      if (i != 4 && i != 5) sum.busy += ticks;
    }
  }
  return found ? std::optional(sum) : std::nullopt;
}

double BusyShare::sample(const std::string& proc, const Processors& processors, const CgroupFolders& groups,
                         Clock::time_point now, std::vector<std::string>& degraded) {
  const auto ticks_before = std::exchange(ticks_, read_ticks(proc, processors.allowed));
  const auto group_before = std::exchange(group_seconds_, cpu_used_seconds(groups));
  const double passed = std::chrono::duration<double>(now - std::exchange(at_, now)).count();
  const bool by_quota = processors.quota && *processors.quota <= processors.cores;
  if (by_quota && group_seconds_) {
    if (!group_before || passed <= 0) return 0;
    return std::clamp((*group_seconds_ - *group_before) / (passed * processors.cores), 0.0, 1.0);
  }
  if (!ticks_) degraded.push_back("cpu_ratio: " + proc + "/stat tells no processor's time");
  if (!ticks_ || !ticks_before) return 0;
  const double all = difference(ticks_->all, ticks_before->all);
  return all <= 0 ? 0 : std::clamp(difference(ticks_->busy, ticks_before->busy) / all, 0.0, 1.0);
}

}  // namespace windlass::load
