#include "plugin/match/amounts.hpp"

#include <algorithm>
#include <cmath>

namespace windlass::match {
namespace {

constexpr double kLargest = 9.2e14;
constexpr double kSmall = 1e-7;  // what rounding errors may be
constexpr const char* kAllowed = "a finite number from 0 to 9.2e14";
constexpr const char* kAllowedShare = "a free share from 0 to 1";

// `value` is not negative, not above kLargest, no NaN.
int64_t cut(double value) {
  if (value == std::floor(value)) return static_cast<int64_t>(value) * kUnit;
  const double scaled = value * 10000.0;
  const double nearest = std::rint(scaled);
  const double tolerance = std::max(0.001, scaled * 0x1p-50);
  return static_cast<int64_t>(std::fabs(scaled - nearest) <= tolerance ? nearest : std::floor(scaled));
}

}  // namespace

std::optional<CutFault> cut_amounts(std::span<const double> values, CutKind kind, int64_t* amounts) {
  const double largest = kind == CutKind::share ? 1.0 + kSmall : kLargest;
  for (size_t row = 0; row < values.size(); ++row) {
    const double value = values[row];
    if (std::isnan(value)) {
      amounts[row] = 0;
      continue;
    }
    if (!(value >= -kSmall && value <= largest)) {
      return CutFault{row, kind == CutKind::share ? kAllowedShare : kAllowed};
    }
    int64_t amount = value <= 0 ? 0 : cut(value);
    if (kind == CutKind::task && value > kSmall) amount = std::max<int64_t>(amount, 1);
    if (kind == CutKind::share) amount = std::min(amount, kUnit);
    amounts[row] = amount;
  }
  return std::nullopt;
}

}  // namespace windlass::match
