// How loaded this machine is, as far as this process may use it. A Sampler belongs to one thread at a time.
//
// /proc and /sys are read below configurable folders, so tests give trees of their own. Time comes from the caller.
// What cannot be read is left out and named in `degraded`; sampling itself never fails. Rates and ratios need two
// samples and are 0 in the first.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "plugin/load/report.hpp"
#include "plugin/load/roots.hpp"

namespace windlass::load {

struct Options {
  std::string proc = "/proc";
  std::string sys = "/sys";
  std::vector<std::string> roots;
  StatRoot stat_root = stat_root_statvfs;     // asks a file system for its free space; may hang
  std::chrono::milliseconds roots_wait{200};  // for all roots together, per sample
};

class Sampler {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Sampler(Options options);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  Report sample(Clock::time_point now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace windlass::load
