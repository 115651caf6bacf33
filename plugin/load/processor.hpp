// Which processors this process may use, and how busy they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/load/cgroup.hpp"

namespace windlass::load {

// "0-3,8" as a set; nothing where the text is no such list.
std::optional<std::set<unsigned>> processor_list(std::string_view text);

struct Processors {
  std::set<unsigned> allowed;   // by affinity, as far as online; empty where unknown
  std::optional<double> quota;  // by control groups
  double cores = 0;             // the smaller of the two
};
Processors find_processors(const std::string& proc, const std::string& sys, const CgroupFolders& groups,
                           std::vector<std::string>& degraded);

// The busy share of the processors since the call before, 0 in the first. Where a quota below the processors' number
// holds, the share of the quota that the control group used; else that of the allowed processors, whoever used them.
class BusyShare {
 public:
  using Clock = std::chrono::steady_clock;
  double sample(const std::string& proc, const Processors& processors, const CgroupFolders& groups,
                Clock::time_point now, std::vector<std::string>& degraded);

 private:
  struct Ticks {
    std::uint64_t busy = 0, all = 0;
  };
  static std::optional<Ticks> read_ticks(const std::string& proc, const std::set<unsigned>& allowed);

  std::optional<Ticks> ticks_;
  std::optional<double> group_seconds_;
  Clock::time_point at_{};
};

}  // namespace windlass::load
