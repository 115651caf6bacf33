// Amounts cut down to bytes that keep their order: x >= y implies rank(x) >= rank(y). What bytes can't tell apart is
// left to an exact check.
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
  // Chooses the dimensions to look at and 255 bounds in each, from samples of the tasks' amounts.
  explicit Ranks(const Problem& problem);

  size_t rows() const { return rows_.size(); }
  size_t dimension(size_t row) const { return rows_[row].dimension; }
  // By row, the first row in the lowest byte. `amounts`: by dimension.
  uint64_t of(const int64_t* amounts) const;

 private:
  struct Row {
    size_t dimension;
    std::array<int64_t, 256> bounds;  // ascending, the rest INT64_MAX; a rank is how many are at most the amount
  };
  static uint8_t rank(const Row& row, int64_t amount);

  std::vector<Row> rows_;
};

}  // namespace windlass::match
