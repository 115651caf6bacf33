// The fast matcher: for each task the least key among the offers that are large enough, from an index of the free
// offers (table.hpp, bands.hpp) instead of a look at each. Serves best_fit, worst_fit and cost, in both modes, under
// any constraints.
#pragma once

#include "plugin/match/problem.hpp"

namespace windlass::match {

bool index_serves(const Problem& problem);

// The problem has passed `validate`, and the index serves it. `plain`: without SIMD, for tests.
Placement match_index(const Problem& problem, bool plain = false);

}  // namespace windlass::match
