// The inner loops of the fast engines: which of 64 byte vectors are at least as large as a given one in every row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/match/problem.hpp"

namespace windlass::match {

inline constexpr size_t kLanes = 64;    // entries that are tested at once
inline constexpr size_t kRanksMax = 8;  // rows that are tested; further dimensions are left to the exact check

// A table has [rows][64] bytes, aligned to 64; column i of it is an entry's ranks. Several lie side by side.
struct Tables {
  const uint8_t* base;
  size_t rows;
  const int32_t* numbers;  // tables in the order in which they are looked at
};

struct Hit {
  size_t at;      // of the table in `numbers`; the end where nothing was hit
  uint64_t mask;  // bit i: column i is at least as large in each row
};

struct Kernel {
  Engine engine;
  // The first table from numbers[begin] to before numbers[end] that has a column at least as large as `least`.
  Hit (*first)(const Tables& tables, size_t begin, size_t end, const uint8_t* least);
  // The same of at most 64 tables that lie side by side at `base`, those whose bit is set in `places`; at 64 where
  // nothing was hit.
  Hit (*among)(const uint8_t* base, size_t rows, uint64_t places, const uint8_t* least);
  // Which of 64 amounts are at least that much. For scans without ranks.
  uint64_t (*amounts)(const int64_t* amounts, int64_t least);
};

// The widest that this CPU has; looked up once.
const Kernel& kernel();
// The plain one, for tests.
const Kernel& plain_kernel();

}  // namespace windlass::match
