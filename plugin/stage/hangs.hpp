// Which threads hang, and in which devices. A decision: looks and times are given. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>

#include "plugin/stage/mounts.hpp"

namespace windlass::stage {

// A transfer's source and target; the same pair whichever is which.
struct Devices {
  Device one = 0;
  Device other = 0;
  auto operator<=>(const Devices&) const = default;
};

class Hangs {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kHangs{1000};  // in one call of the file system
  static constexpr unsigned kThreadsPerDevice = 3;          // more than so many may not wait for one device

  // One look at a thread inside of a call. `moves` differs from look to look where it gets on. Whether it hangs.
  bool look(const void* thread, std::uint64_t moves, Time now);
  // It does, in a device; 0 where that is not known.
  void hangs_in(Device device) { ++devices_[device]; }
  // Before the looks of one time.
  void begin();
  // After them: those not looked at do not hang.
  void end();

  [[nodiscard]] unsigned threads() const;
  // Whether nobody hangs in either.
  [[nodiscard]] bool free(const Devices& devices) const { return waiting(devices) == 0; }
  // Whether another thread may be risked.
  [[nodiscard]] bool open(const Devices& devices) const { return waiting(devices) < kThreadsPerDevice; }

 private:
  [[nodiscard]] unsigned waiting(const Devices& devices) const;
  struct Seen {
    std::uint64_t moves = 0;
    Time since{};
    bool now = false;
  };
  std::map<const void*, Seen> seen_;
  std::map<Device, unsigned> devices_;  // that threads hang in
};

}  // namespace windlass::stage
