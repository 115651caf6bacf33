// Free shares of devices, and which device a task gets.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

class Devices {
 public:
  explicit Devices(std::span<const DeviceKind> kinds);

  bool none() const { return kinds_.empty(); }
  // Kinds are numbered by dimension.
  size_t kinds() const { return kinds_.size(); }
  int32_t dimension(size_t kind) const { return kinds_[kind].dimension; }
  // Free share of each device.
  std::span<const int64_t> free(size_t kind, int32_t offer) const {
    const Kind& one = kinds_[kind];
    return std::span(one.free).subspan(one.begin[offer], one.begin[offer + 1] - one.begin[offer]);
  }
  bool has(size_t dimension) const;
  // `wanted`: amounts by dimension; a kind's amount is the share asked for.
  bool fits(int32_t offer, std::span<const int64_t> wanted) const;
  // Takes what fits, and answers which devices. `undo` gives the same back.
  std::vector<Device> place(int32_t offer, std::span<const int64_t> wanted);
  void undo(int32_t offer, std::span<const int64_t> wanted, std::span<const Device> held);

 private:
  struct Kind {
    int32_t dimension;
    std::span<const int64_t> begin;
    std::vector<int64_t> free;
  };
  // The least free device with room for a share of at most one, lowest index of equals; -1 where there is none.
  static int64_t least_free(const Kind& kind, int32_t offer, int64_t share);
  static int64_t wholly_free(const Kind& kind, int32_t offer);

  std::vector<Kind> kinds_;
};

}  // namespace windlass::match
