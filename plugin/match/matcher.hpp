// The way in: checks a problem and gives it to the engine that suits its data. Results are the same from each.
#pragma once

#include "plugin/match/fault.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

// `automatic` chooses by the data. The others are for tests: `index` serves what it can and leaves the rest to the
// plain matcher.
enum class EngineChoice { automatic, scalar, index };

// Either `placement` is filled or a fault is returned. Thread-safe: no state outlives the call.
Check match(const Problem& problem, EngineChoice choice, Placement& placement);

}  // namespace windlass::match
