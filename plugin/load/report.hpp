// What a sample tells, and its msgpack form (proto/protocol.md, "LOAD").
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace windlass::load {

// Shares of time in percent, as the kernel tells them.
struct Pressure {
  double some_avg10 = 0, some_avg60 = 0, full_avg10 = 0, full_avg60 = 0;
};

struct DiskRate {
  double read_bytes_per_s = 0, write_bytes_per_s = 0;
  double busy_ratio = 0;  // 0 to 1
};

struct NetRate {
  double receive_bytes_per_s = 0, transmit_bytes_per_s = 0;
};

struct RootSpace {
  std::uint64_t free_bytes = 0;   // to unprivileged users
  std::uint64_t free_inodes = 0;  // 2^63 - 1 where the file system does not count inodes
};

struct Report {
  double cores = 0;
  double cpu_ratio = 0;
  std::uint64_t memory_available_bytes = 0;
  std::uint64_t memory_total_bytes = 0;
  std::map<std::string, Pressure> psi;  // "cpu", "memory", "io"
  std::map<std::string, DiskRate> disk;
  std::map<std::string, NetRate> net;
  std::map<std::string, RootSpace> roots;
  std::vector<std::string> degraded;  // what could not be read, and why
};

// Replaces `out` with the report as a msgpack map.
void pack_report(const Report& report, std::vector<char>& out);

}  // namespace windlass::load
