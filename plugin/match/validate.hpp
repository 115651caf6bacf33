// Every check of a request's numbers, made before anything is placed.
#pragma once

#include "plugin/match/fault.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

Check validate(const Problem& problem);

}  // namespace windlass::match
