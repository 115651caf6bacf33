#include "plugin/match/matcher.hpp"

#include "plugin/match/decode.hpp"
#include "plugin/match/index/index.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {

Check match(const Problem& problem, EngineChoice choice, Placement& placement) {
  if (Check fault = validate(problem)) return fault;
  if (problem.constraints) {
    if (Check fault = check_constraints(problem, *problem.constraints)) return fault;
  }
  const bool fast = choice != EngineChoice::scalar && index_serves(problem);
  placement = fast ? match_index(problem) : match_scalar(problem);
  return {};
}

}  // namespace windlass::match
