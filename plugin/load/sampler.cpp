#include "plugin/load/sampler.hpp"

#include <utility>

#include "plugin/load/cgroup.hpp"
#include "plugin/load/memory.hpp"
#include "plugin/load/pressure.hpp"
#include "plugin/load/processor.hpp"
#include "plugin/load/rates.hpp"

namespace windlass::load {

struct Sampler::State {
  explicit State(Options given)
      : options(std::move(given)), roots(options.roots, options.stat_root, options.roots_wait) {}

  Options options;
  Roots roots;
  BusyShare busy;
  DiskRates disk;
  NetRates net;
};

Sampler::Sampler(Options options) : state_(std::make_unique<State>(std::move(options))) {}
Sampler::~Sampler() = default;

Report Sampler::sample(Clock::time_point now) {
  State& state = *state_;
  const std::string& proc = state.options.proc;
  const std::string& sys = state.options.sys;
  Report report;
  auto& degraded = report.degraded;
  // Looked up each time: a process may be moved to another group, and limits change.
  const CgroupFolders groups = find_cgroups(proc, sys);
  const Processors processors = find_processors(proc, sys, groups, degraded);
  report.cores = processors.cores;
  report.cpu_ratio = state.busy.sample(proc, processors, groups, now, degraded);
  const Memory memory = read_memory(proc, groups, degraded);
  report.memory_available_bytes = memory.available_bytes;
  report.memory_total_bytes = memory.total_bytes;
  report.psi = read_pressure(proc, degraded);
  report.disk = state.disk.sample(proc, sys, now, degraded);
  report.net = state.net.sample(proc, now, degraded);
  report.roots = state.roots.sample(degraded);
  return report;
}

}  // namespace windlass::load
