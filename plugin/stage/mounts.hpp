// Which device a path or a descriptor lies on, as the kernel's list of mounts tells: no disk is asked, so one that
// hangs keeps nobody. Links are not followed. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/stage/fd.hpp"

namespace windlass::stage {

using Device = std::uint64_t;  // as st_dev is; 0: not known

struct Mount {
  std::uint64_t id = 0;
  Device device = 0;
  std::string path;
};

// The text of /proc/self/mountinfo; lines that are not understood are left out.
std::vector<Mount> parse_mounts(std::string_view text);

class Mounts {
 public:
  Mounts();

  // Reads the list again where it has changed since.
  void refresh();
  [[nodiscard]] Device device_of(std::string_view path);
  [[nodiscard]] Device device_of(int fd);
  // Of a path beneath an open folder (AT_FDCWD: an absolute one). Not known where it looks to be the folder's own, and
  // others are mounted beneath, as a link may have led there.
  [[nodiscard]] Device device_beneath(int folder, const std::string& path);

 private:
  void read();
  const Mount* mount_of(std::string_view path) const;

  std::mutex mutex_;
  Fd list_;
  Device root_ = 0;
  std::vector<Mount> mounts_;
};

}  // namespace windlass::stage
