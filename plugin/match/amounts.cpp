#include "plugin/match/amounts.hpp"

#include <algorithm>
#include <cmath>

namespace windlass::match {
namespace {

constexpr double kLargest = 9.2e14;
constexpr double kSmall = 1e-7;  // what rounding errors may be
constexpr const char* kAllowed = "a finite number from 0 to 9.2e14";
constexpr const char* kAllowedShare = "a free share from 0 to 1";

// std::rint of a value from 0 to 2^63, without the call that it is where the processor's SSE 4.1 can't be counted on.
double nearest_of(double value) {
  constexpr double kNoFraction = 0x1p52;  // from here on doubles are whole
  return value < kNoFraction ? (value + kNoFraction) - kNoFraction : value;
}

// Of a value below kPlain, which may be as small as -kSmall. Here an integral one needs no care of its own and the
// tolerance is the same for all, so that what differs from row to row is added and no branch has to be guessed.
constexpr double kPlain = 0x1p26;

int64_t cut_plain(double value) {
  const double scaled = value * 10000.0;
  const auto below = static_cast<int64_t>(scaled);
  const double missing = (static_cast<double>(below) + 1.0) - scaled;
  return below + static_cast<int64_t>(missing <= 0.001);
}

// Of any other, not above kLargest, no NaN.
int64_t cut_large(double value) {
  const auto whole = static_cast<int64_t>(value);
  if (value == static_cast<double>(whole)) return whole * kUnit;
  const double scaled = value * 10000.0;
  const double nearest = nearest_of(scaled);
  const double tolerance = std::max(0.001, scaled * 0x1p-50);
  return static_cast<int64_t>(std::fabs(scaled - nearest) <= tolerance ? nearest : scaled);
}

}  // namespace

std::optional<CutFault> cut_amounts(std::span<const double> values, CutKind kind, int64_t* amounts, bool complete) {
  const double largest = kind == CutKind::share ? 1.0 + kSmall : kLargest;
  for (size_t row = 0; row < values.size(); ++row) {
    const double value = values[row];
    if (std::isnan(value) && !complete) {
      amounts[row] = 0;
      continue;
    }
    if (!(value >= -kSmall && value <= largest)) {
      return CutFault{row, kind == CutKind::share ? kAllowedShare : kAllowed};
    }
    int64_t amount = value < kPlain ? cut_plain(value) : cut_large(value);
    if (kind == CutKind::task) amount += static_cast<int64_t>(value > kSmall) & static_cast<int64_t>(amount == 0);
    if (kind == CutKind::share) amount = std::min(amount, kUnit);
    amounts[row] = amount;
  }
  return std::nullopt;
}

}  // namespace windlass::match
