#include "plugin/load/rates.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "plugin/load/text.hpp"

namespace windlass::load {
namespace {

constexpr double kSectorBytes = 512;  // of /proc/diskstats, whatever the device's own sectors are

// 0 where a counter fell: the device was replaced or the counter came round.
double per_second(std::uint64_t now, std::uint64_t before, double passed) {
  return passed > 0 && now > before ? static_cast<double>(now - before) / passed : 0;
}

double seconds_since(std::chrono::steady_clock::time_point before, std::chrono::steady_clock::time_point now) {
  return std::chrono::duration<double>(now - before).count();
}

bool is_partition(const std::string& sys, const std::string& device) {
  return ::access((sys + "/class/block/" + device + "/partition").c_str(), F_OK) == 0;
}

}  // namespace

std::map<std::string, DiskRate> DiskRates::sample(const std::string& proc, const std::string& sys,
                                                  Clock::time_point now, std::vector<std::string>& degraded) {
  std::map<std::string, DiskRate> rates;
  std::map<std::string, Counters> counters;
  const double passed = seconds_since(at_, now);
  const auto text = read_file(proc + "/diskstats");
  if (!text) degraded.push_back("disk: " + proc + "/diskstats cannot be read");
  for (const std::string_view line : lines_of(text ? *text : std::string_view{})) {
    // major minor name reads merged sectors ms writes merged sectors ms running busy_ms ...
    const auto fields = fields_of(line);
    if (fields.size() < 13) continue;
    const auto read = number_of(fields[5]);
    const auto written = number_of(fields[9]);
    const auto busy = number_of(fields[12]);
    const std::string name(fields[2]);
    if (!read || !written || !busy || (*read == 0 && *written == 0) || is_partition(sys, name)) continue;
    const Counters& current = counters[name] = {*read, *written, *busy};
    DiskRate& rate = rates[name];
    const auto before = before_.find(name);
    if (before == before_.end()) continue;
    rate.read_bytes_per_s = kSectorBytes * per_second(current.read_sectors, before->second.read_sectors, passed);
    rate.write_bytes_per_s = kSectorBytes * per_second(current.write_sectors, before->second.write_sectors, passed);
    rate.busy_ratio = std::min(1.0, per_second(current.busy_ms, before->second.busy_ms, passed) / 1000);
  }
  before_ = std::move(counters);
  at_ = now;
  return rates;
}

std::map<std::string, NetRate> NetRates::sample(const std::string& proc, Clock::time_point now,
                                                std::vector<std::string>& degraded) {
  std::map<std::string, NetRate> rates;
  std::map<std::string, Counters> counters;
  const double passed = seconds_since(at_, now);
  const auto text = read_file(proc + "/net/dev");
  if (!text) degraded.push_back("net: " + proc + "/net/dev cannot be read");
  for (const std::string_view line : lines_of(text ? *text : std::string_view{})) {
    // name: bytes packets errs drop fifo frame compressed multicast bytes ...; the name may touch the number
    const auto colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;
    const auto names = fields_of(line.substr(0, colon));
    const auto fields = fields_of(line.substr(colon + 1));
    if (names.size() != 1 || fields.size() < 16) continue;
    const auto received = number_of(fields[0]);
    const auto sent = number_of(fields[8]);
    if (!received || !sent) continue;
    const std::string name(names[0]);
    const Counters& current = counters[name] = {*received, *sent};
    NetRate& rate = rates[name];
    const auto before = before_.find(name);
    if (before == before_.end()) continue;
    rate.receive_bytes_per_s = per_second(current.receive_bytes, before->second.receive_bytes, passed);
    rate.transmit_bytes_per_s = per_second(current.transmit_bytes, before->second.transmit_bytes, passed);
  }
  before_ = std::move(counters);
  at_ = now;
  return rates;
}

}  // namespace windlass::load
