// Scale, weights and scores in exact integers (docs/matching.md, "Scale, weights, scores").
//
// Why nothing overflows, given what `validate` lets through: a weight wq is at most 2^30 and an offer's amount at most
// 2^24 x M_d, so W_d x (offer - task) <= 2^30 x 2^64 / M_d x 2^24 x M_d = 2^118, and 256 dimensions make 2^126. Without
// normalising it is 2^30 x 2^63 x 2^8 = 2^101. A term of the dot product is at most 2^30 x 2^20 x 2^20, all 2^78.
// Penalties are at most (64 + 1) x 2^30 x 2^64 < 2^101. A limit is at most 2^46 x 2^80 + 2^64. All lies below 2^127.
#pragma once

#include <vector>

#include "plugin/match/problem.hpp"
#include "plugin/match/wide.hpp"

namespace windlass::match {

struct Scoring {
  Policy policy = Policy::best_fit;
  std::vector<int64_t> largest;   // M_d
  std::vector<int64_t> weight_q;  // wq_d
  std::vector<Wide> weight;       // W_d; not for products
  Wide one = 0;                   // ONE
  bool limited = false;
  Wide limit = 0;  // max_score: scores above it don't qualify

  // x_d of the dot product: 0 to 2^20.
  int64_t dot_part(size_t d, int64_t amount) const;
};

// The problem has passed `validate`.
Scoring scoring_of(const Problem& problem);

// M_d by dimension: the given scale, else the largest offer.
std::vector<int64_t> largest_of(const Problem& problem);

// floor(max_score x one) + one / 2^16. |max_score| <= 2^46.
Wide score_limit(double max_score, Wide one);

}  // namespace windlass::match
