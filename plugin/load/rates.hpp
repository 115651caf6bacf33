// Traffic of disks and network interfaces, as differences between two samples. One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plugin/load/report.hpp"

namespace windlass::load {

// Whole devices that ever did anything (no partitions): those in /proc/diskstats.
class DiskRates {
 public:
  using Clock = std::chrono::steady_clock;
  std::map<std::string, DiskRate> sample(const std::string& proc, const std::string& sys, Clock::time_point now,
                                         std::vector<std::string>& degraded);

 private:
  struct Counters {
    std::uint64_t read_sectors, write_sectors, busy_ms;
  };
  std::map<std::string, Counters> before_;
  Clock::time_point at_{};
};

// All interfaces of /proc/net/dev, the loopback too.
class NetRates {
 public:
  using Clock = std::chrono::steady_clock;
  std::map<std::string, NetRate> sample(const std::string& proc, Clock::time_point now,
                                        std::vector<std::string>& degraded);

 private:
  struct Counters {
    std::uint64_t receive_bytes, transmit_bytes;
  };
  std::map<std::string, Counters> before_;
  Clock::time_point at_{};
};

}  // namespace windlass::load
