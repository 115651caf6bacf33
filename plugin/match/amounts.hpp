// Doubles cut to amounts: int64 in units of 1/10,000 (docs/matching.md, "Amounts").
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace windlass::match {

inline constexpr int64_t kUnit = 10'000;                            // units in 1.0
inline constexpr int64_t kAmountMax = 920'000'000'000'000 * kUnit;  // 9.2e14, the largest amount served
inline constexpr size_t kDimensionsMax = 256;                       // device kinds included

// What the rules for small values are. A task's amount above 1e-7 is at least one unit; a device's free share is at
// most 1.
enum class CutKind { offer, task, cap, share };

struct CutFault {
  size_t row;
  const char* allowed;  // what would have been right; static
};

// Writes values.size() amounts. A NaN stands for an absent value and becomes 0, or is refused where all must be there
// (`complete`). Stops at the first refused value.
std::optional<CutFault> cut_amounts(std::span<const double> values, CutKind kind, int64_t* amounts,
                                    bool complete = false);

}  // namespace windlass::match
