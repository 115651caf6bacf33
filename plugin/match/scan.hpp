// The plain fast matcher: looks at each free offer for each task, 64 at a time. For the dot product, whose scores no
// index can order, and as the measure that the index is held against.
#pragma once

#include "plugin/match/problem.hpp"

namespace windlass::match {

// Whatever has no constraints, but for the policy fragmentation.
bool scan_serves(const Problem& problem);

// The problem has passed `validate`, and the scan serves it. `plain`: without SIMD, for tests.
Placement match_scan(const Problem& problem, bool plain = false);

}  // namespace windlass::match
