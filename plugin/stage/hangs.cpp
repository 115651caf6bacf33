#include "plugin/stage/hangs.hpp"

#include <algorithm>

namespace windlass::stage {

void Hangs::begin() {
  devices_.clear();
  for (auto& [thread, seen] : seen_) seen.now = false;
}

bool Hangs::look(const void* thread, std::uint64_t moves, Time now) {
  const auto [at, fresh] = seen_.try_emplace(thread, Seen{moves, now, true});
  at->second.now = true;
  if (at->second.moves != moves) at->second = {moves, now, true};
  return !fresh && now - at->second.since >= kHangs;
}

void Hangs::end() {
  std::erase_if(seen_, [](const auto& one) { return !one.second.now; });
}

unsigned Hangs::threads() const {
  unsigned count = 0;
  for (const auto& [device, threads] : devices_) count += threads;
  return count;
}

unsigned Hangs::waiting(const Devices& devices) const {
  unsigned most = 0;
  for (const Device device : {devices.one, devices.other}) {
    const auto at = device == 0 ? devices_.end() : devices_.find(device);
    if (at != devices_.end()) most = std::max(most, at->second);
  }
  return most;
}

}  // namespace windlass::stage
