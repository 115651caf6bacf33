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
