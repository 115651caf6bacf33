// Offers in the order of their keys, equal ones side by side.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/match/index/key.hpp"
#include "plugin/match/problem.hpp"
#include "plugin/match/scoring.hpp"

namespace windlass::match {

struct SortedOffers {
  std::vector<Key> key;         // by offer
  std::vector<int32_t> offers;  // those that any task may take; by key, then amounts where asked, then number
};

// Keys: the price where the policy is cost, then the weighted sum, negated for worst_fit.
SortedOffers sort_offers(const Problem& problem, const Scoring& scoring, bool by_amounts);

// Equal in every dimension.
bool same_amounts(const Problem& problem, int32_t a, int32_t b);

}  // namespace windlass::match
