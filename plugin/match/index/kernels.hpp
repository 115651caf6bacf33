// The one inner loop of the index: which of 64 byte vectors are at least as large as a given one in every row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/match/problem.hpp"

namespace windlass::match {

inline constexpr size_t kLanes = 64;    // entries that are tested at once
inline constexpr size_t kRanksMax = 8;  // rows that are tested; further dimensions are left to the exact check

struct Kernel {
  Engine engine;
  // `table`: [rows][64] bytes, aligned to 64. Bit i is set where table[r][i] >= least[r] for each r.
  uint64_t (*at_least)(const uint8_t* table, const uint8_t* least, size_t rows);
};

// The widest that this CPU has; looked up once.
const Kernel& kernel();
// The plain one, for tests.
const Kernel& plain_kernel();

}  // namespace windlass::match
