// The way in: checks a problem and gives it to the engine that suits its data. Results are the same from each.
#pragma once

#include "plugin/match/fault.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

// `automatic` chooses by the data: the index where it serves, else the scan, else the plain matcher. The others are for
// tests and benchmarks (WINDLASS_MATCH_ENGINE=auto|scalar|index|scan|plain, read at each call): `index` and `scan`
// serve what they can and leave the rest to the plain matcher; `plain` is both of them, the index first, without SIMD.
enum class EngineChoice { automatic, scalar, index, scan, plain };

// Either `placement` is filled or a fault is returned. Thread-safe: no state outlives the call.
Check match(const Problem& problem, EngineChoice choice, Placement& placement);

}  // namespace windlass::match
