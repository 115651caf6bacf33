#include "plugin/match/scoring.hpp"

#include <algorithm>
#include <cmath>

namespace windlass::match {

std::vector<int64_t> largest_of(const Problem& problem) {
  std::vector<int64_t> largest(problem.dimensions, 0);
  for (size_t d = 0; d < problem.dimensions; ++d) {
    const int64_t* column = problem.offer_amounts[d];
    if (problem.scale && problem.scale[d] > 0) {
      largest[d] = problem.scale[d];
    } else if (column) {
      for (size_t offer = 0; offer < problem.offers; ++offer) largest[d] = std::max(largest[d], column[offer]);
    }
  }
  return largest;
}

Wide score_limit(double max_score, Wide one) {
  // one = odd x 2^power, and a double is a 53-bit integer times a power of two, so the product is one shift.
  int power = 0;
  Wide odd = one;
  while ((odd & 1) == 0) {
    odd >>= 1;
    ++power;
  }
  int exponent = 0;
  const double mantissa = std::frexp(max_score, &exponent);
  const Wide digits = static_cast<Wide>(std::ldexp(mantissa, 53)) * odd;
  const int shift = exponent - 53 + power;
  Wide product = 0;
  if (shift >= 0) {
    product = digits * (static_cast<Wide>(1) << shift);
  } else {
    product = digits >> std::min(-shift, 127);  // rounds down, negative ones too
  }
  return product + (one >> 16);
}

int64_t Scoring::dot_part(size_t d, int64_t amount) const {
  if (largest[d] == 0) return 0;
  const int64_t part = std::min(amount, largest[d]);
  return static_cast<int64_t>((static_cast<Wide>(part) << 20) / largest[d]);
}

Scoring scoring_of(const Problem& problem) {
  Scoring scoring;
  scoring.policy = problem.policy;
  scoring.largest = largest_of(problem);
  scoring.weight_q.resize(problem.dimensions);
  scoring.weight.resize(problem.dimensions);
  for (size_t d = 0; d < problem.dimensions; ++d) {
    const int64_t wq = problem.weights ? problem.weights[d] : 65536;
    scoring.weight_q[d] = wq;
    if (!problem.normalize) {
      scoring.weight[d] = wq;
    } else if (scoring.largest[d] > 0) {
      scoring.weight[d] = (static_cast<Wide>(wq) << 64) / scoring.largest[d];
    }
  }
  if (of_products(problem.policy)) {
    scoring.one = static_cast<Wide>(1) << 56;
  } else {
    scoring.one = problem.normalize ? static_cast<Wide>(1) << 80 : static_cast<Wide>(10'000) << 16;
  }
  if (problem.max_score) {
    scoring.limited = true;
    scoring.limit = score_limit(*problem.max_score, scoring.one);
  }
  return scoring;
}

}  // namespace windlass::match
