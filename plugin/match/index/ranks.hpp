// Amounts cut down to bytes that keep their order: x >= y implies rank(x) >= rank(y). What bytes can't tell apart is
// left to an exact check. A rank is from 1 to 255, so that 0 may stand for "nothing there".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "plugin/match/index/kernels.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

class Ranks {
 public:
  // Chooses the dimensions to look at, one at least, and 254 bounds in each, from samples of the tasks' amounts.
  explicit Ranks(const Problem& problem);

  size_t rows() const { return rows_.size(); }
  // By row, the first row in the lowest byte. `amounts`: by dimension.
  uint64_t of(const int64_t* amounts) const;

 private:
  struct Row {
    size_t dimension = 0;
    size_t half = 0;  // of the power of two that is above the number of bounds: where a search begins
    std::array<int64_t, 256>
        bounds;  // ascending, the rest INT64_MAX; a rank is how many are at most the amount, and one
  };
  static uint8_t rank(const Row& row, int64_t amount);

  std::vector<Row> rows_;
  bool blind_ = false;  // no task asks for anything, so that all ranks are 1
};

}  // namespace windlass::match
