// The plain matcher: for each task every free offer is looked at. Slow, and the truth that faster ways are held to.
#pragma once

#include "plugin/match/problem.hpp"

namespace windlass::match {

// The problem has passed `validate`.
Placement match_scalar(const Problem& problem);

}  // namespace windlass::match
