// Reads the "Constraints" map of proto/protocol.md and holds it to the problem that it belongs to. Hostile bytes cost
// no more than their own size.
#pragma once

#include <span>
#include <string_view>

#include "plugin/match/constraints.hpp"
#include "plugin/match/fault.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

enum class ColumnType { i32, i64, u64 };

struct Column {
  ColumnType type;
  const void* data;
  size_t count;
};

// Shapes only: kinds, counts, ranges of numbers that stand in the map itself. `problem` gives the sizes.
Check decode_constraints(std::string_view bytes, std::span<const Column> columns, const Problem& problem,
                         Constraints& constraints);

// What rows hold, and what belongs together (constraints_check.cpp). The problem's amounts have passed `validate`.
Check check_constraints(const Problem& problem, const Constraints& constraints);

}  // namespace windlass::match
