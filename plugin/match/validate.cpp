#include "plugin/match/validate.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "plugin/match/amounts.hpp"
#include "plugin/match/scoring.hpp"

namespace windlass::match {
namespace {

constexpr int64_t kWeightMax = int64_t{1} << 30;  // 16384 x 2^16
constexpr int64_t kPriceMax = 9'200'000'000'000 * int64_t{1'000'000};
constexpr double kScoreMax = 0x1p46;

std::string numbered(const char* field, size_t number) {
  return std::string(field) + "." + std::to_string(number);
}

Check check_sizes(const Problem& problem) {
  constexpr size_t rows = std::numeric_limits<int32_t>::max();
  if (problem.tasks > rows) return invalid(Side::tasks, -1, "tasks", "more than 2^31 - 1 tasks; split the call");
  if (problem.offers > rows) return invalid(Side::offers, -1, "offers", "more than 2^31 - 1 offers; split the call");
  if (problem.dimensions > kDimensionsMax) {
    return invalid(Side::options, -1, "dimensions",
                   std::to_string(problem.dimensions) + " dimensions, at most 256 are served");
  }
  return {};
}

Check check_options(const Problem& problem) {
  if (problem.ties == Ties::swap_remove && problem.mode == Mode::packing) {
    return invalid(Side::options, -1, "ties", "swap_remove is defined for mode exclusive only");
  }
  if (of_products(problem.policy) && !problem.normalize) {
    return invalid(Side::options, -1, "normalize", "dot_product and fragmentation are defined with normalize only");
  }
  if (problem.max_score) {
    if (problem.policy == Policy::cost) {
      return invalid(Side::options, -1, "max_score", "max_score can't be used with policy cost; use max_price");
    }
    if (!(std::fabs(*problem.max_score) <= kScoreMax)) {
      return invalid(Side::options, -1, "max_score", "max_score must be a number from -2^46 to 2^46");
    }
  }
  if (problem.max_price && (*problem.max_price < 0 || *problem.max_price > kPriceMax)) {
    return invalid(Side::options, -1, "max_price", "max_price must be from 0 to 9.2e12");
  }
  for (size_t d = 0; d < problem.dimensions; ++d) {
    if (problem.weights && (problem.weights[d] < 0 || problem.weights[d] > kWeightMax)) {
      return invalid(Side::options, -1, numbered("weights", d), "a weight must be 0 or from 2^-16 to 16384");
    }
    if (problem.scale && (problem.scale[d] < 0 || problem.scale[d] > kAmountMax)) {
      return invalid(Side::options, -1, numbered("scale", d), "a scale must be above 0 and at most 9.2e14");
    }
  }
  return {};
}

Check check_column(Side side, const int64_t* column, size_t rows, size_t d) {
  if (!column) return {};
  uint64_t largest = 0;  // a negative one is huge as unsigned
  for (size_t row = 0; row < rows; ++row) largest = std::max(largest, static_cast<uint64_t>(column[row]));
  if (largest <= static_cast<uint64_t>(kAmountMax)) return {};
  for (size_t row = 0; row < rows; ++row) {
    if (static_cast<uint64_t>(column[row]) > static_cast<uint64_t>(kAmountMax)) {
      return invalid(side, static_cast<int64_t>(row), numbered("amounts", d),
                     std::to_string(column[row]) + " units; an amount must be from 0 to 9.2e14 (9.2e18 units)");
    }
  }
  return {};
}

Check check_scale(const Problem& problem) {
  const std::vector<int64_t> largest = largest_of(problem);
  for (size_t d = 0; d < problem.dimensions; ++d) {
    const int64_t* column = problem.offer_amounts[d];
    if (!column || !problem.scale || problem.scale[d] == 0) continue;
    const Wide limit = static_cast<Wide>(largest[d]) << 24;
    for (size_t offer = 0; offer < problem.offers; ++offer) {
      if (column[offer] > limit) {
        return invalid(Side::offers, static_cast<int64_t>(offer), numbered("amounts", d),
                       std::to_string(column[offer]) + " units is above 2^24 times the scale of " +
                           std::to_string(largest[d]) + " units; raise the scale");
      }
    }
  }
  return {};
}

Check check_prices(const Problem& problem) {
  const bool needed = problem.policy == Policy::cost || problem.max_price.has_value();
  for (size_t offer = 0; offer < problem.offers; ++offer) {
    const int64_t price = problem.price ? problem.price[offer] : -1;
    if (price < -1 || price > kPriceMax) {
      return invalid(Side::offers, static_cast<int64_t>(offer), "price", "a price must be from 0 to 9.2e12");
    }
    if (needed && price < 0) {
      return invalid(Side::offers, static_cast<int64_t>(offer), "price",
                     "no price; policy cost and max_price need one on every offer");
    }
    if (!needed && !problem.price) break;
  }
  return {};
}

}  // namespace

Check validate(const Problem& problem) {
  if (Check fault = check_sizes(problem)) return fault;
  if (Check fault = check_options(problem)) return fault;
  for (size_t d = 0; d < problem.dimensions; ++d) {
    if (Check fault = check_column(Side::tasks, problem.task_amounts[d], problem.tasks, d)) return fault;
    if (Check fault = check_column(Side::offers, problem.offer_amounts[d], problem.offers, d)) return fault;
  }
  if (Check fault = check_scale(problem)) return fault;
  return check_prices(problem);
}

}  // namespace windlass::match
