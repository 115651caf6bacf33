#include "plugin/match/matcher.hpp"

#include "plugin/match/decode.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {

Check match(const Problem& problem, EngineChoice choice, Placement& placement) {
  if (Check fault = validate(problem)) return fault;
  if (problem.constraints) {
    if (Check fault = check_constraints(problem, *problem.constraints)) return fault;
  }
  static_cast<void>(choice);
  placement = match_scalar(problem);
  return {};
}

}  // namespace windlass::match
