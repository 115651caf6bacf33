#include "plugin/match/devices.hpp"

#include <algorithm>

#include "plugin/match/amounts.hpp"

namespace windlass::match {

Devices::Devices(std::span<const DeviceKind> kinds) {
  for (const DeviceKind& kind : kinds) {
    kinds_.push_back({kind.dimension, kind.begin, {kind.shares.begin(), kind.shares.end()}});
  }
  std::sort(kinds_.begin(), kinds_.end(), [](const Kind& a, const Kind& b) { return a.dimension < b.dimension; });
}

bool Devices::has(size_t dimension) const {
  return std::any_of(kinds_.begin(), kinds_.end(),
                     [&](const Kind& kind) { return kind.dimension == static_cast<int32_t>(dimension); });
}

int64_t Devices::least_free(const Kind& kind, int32_t offer, int64_t share) {
  int64_t best = -1;
  for (int64_t at = kind.begin[offer]; at < kind.begin[offer + 1]; ++at) {
    if (kind.free[at] >= share && (best < 0 || kind.free[at] < kind.free[best])) best = at;
  }
  return best;
}

int64_t Devices::wholly_free(const Kind& kind, int32_t offer) {
  return std::count(kind.free.begin() + kind.begin[offer], kind.free.begin() + kind.begin[offer + 1], kUnit);
}

bool Devices::fits(int32_t offer, std::span<const int64_t> wanted) const {
  return std::all_of(kinds_.begin(), kinds_.end(), [&](const Kind& kind) {
    const int64_t share = wanted[kind.dimension];
    if (share == 0) return true;
    if (share <= kUnit) return least_free(kind, offer, share) >= 0;
    return wholly_free(kind, offer) >= share / kUnit;
  });
}

std::vector<Device> Devices::place(int32_t offer, std::span<const int64_t> wanted) {
  std::vector<Device> held;
  for (Kind& kind : kinds_) {
    const int64_t share = wanted[kind.dimension];
    const int64_t begin = kind.begin[offer];
    const auto hold = [&](int64_t at, int64_t amount) {
      kind.free[at] -= amount;
      held.push_back({kind.dimension, static_cast<int32_t>(at - begin)});
    };
    if (share > 0 && share <= kUnit) hold(least_free(kind, offer, share), share);
    int64_t missing = share > kUnit ? share / kUnit : 0;
    for (int64_t at = begin; missing > 0; ++at) {
      if (kind.free[at] != kUnit) continue;
      hold(at, kUnit);
      --missing;
    }
  }
  return held;
}

void Devices::undo(int32_t offer, std::span<const int64_t> wanted, std::span<const Device> held) {
  for (const Device& device : held) {
    const auto kind =
        std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& one) { return one.dimension == device.dimension; });
    kind->free[kind->begin[offer] + device.index] += std::min(wanted[device.dimension], kUnit);
  }
}

}  // namespace windlass::match
