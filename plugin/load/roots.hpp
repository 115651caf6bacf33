// Free space below folders whose file system may hang (a lost NFS server): each folder is asked by a thread of its own,
// and who does not answer in time is left out and named.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugin/load/report.hpp"

namespace windlass::load {

// Answers 0 or an errno; any thread.
using StatRoot = std::function<int(const std::string& path, RootSpace& space)>;
int stat_root_statvfs(const std::string& path, RootSpace& space);

class Roots {
 public:
  Roots(const std::vector<std::string>& paths, const StatRoot& stat, std::chrono::milliseconds wait);
  // Threads that hang in the kernel cannot be ended: they are left behind and end when the file system answers.
  ~Roots();
  Roots(const Roots&) = delete;
  Roots& operator=(const Roots&) = delete;

  // Waits at most `wait` for all together.
  std::map<std::string, RootSpace> sample(std::vector<std::string>& degraded);

 private:
  class Probe;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::chrono::milliseconds wait_;
};

}  // namespace windlass::load
