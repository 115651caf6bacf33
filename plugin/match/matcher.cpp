#include "plugin/match/matcher.hpp"

#include "plugin/match/decode.hpp"
#include "plugin/match/index/index.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/scan.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {

Check match(const Problem& problem, EngineChoice choice, Placement& placement) {
  if (Check fault = validate(problem)) return fault;
  if (problem.constraints) {
    if (Check fault = check_constraints(problem, *problem.constraints)) return fault;
  }
  const bool automatic = choice == EngineChoice::automatic;
  if ((automatic || choice == EngineChoice::index) && index_serves(problem)) {
    placement = match_index(problem);
  } else if ((automatic || choice == EngineChoice::scan) && scan_serves(problem)) {
    placement = match_scan(problem);
  } else {
    placement = match_scalar(problem);
  }
  return {};
}

}  // namespace windlass::match
