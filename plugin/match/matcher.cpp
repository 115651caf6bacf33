#include "plugin/match/matcher.hpp"

#include "plugin/match/decode.hpp"
#include "plugin/match/index/index.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/scan.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {
namespace {

constexpr size_t kTinyPairs = 128;  // of tasks and offers: up to here it takes longer to make an index than to look

bool is_tiny(const Problem& problem) {
  return problem.tasks <= kTinyPairs && problem.offers <= kTinyPairs && problem.tasks * problem.offers <= kTinyPairs;
}

}  // namespace

Check match(const Problem& problem, EngineChoice choice, Placement& placement) {
  if (Check fault = validate(problem)) return fault;
  if (problem.constraints) {
    if (Check fault = check_constraints(problem, *problem.constraints)) return fault;
  }
  const bool automatic = choice == EngineChoice::automatic, plain = choice == EngineChoice::plain;
  const bool any = automatic || plain;
  if (automatic && is_tiny(problem) && scan_serves(problem)) {
    placement = match_scan(problem);
  } else if ((any || choice == EngineChoice::index) && index_serves(problem)) {
    placement = match_index(problem, plain);
  } else if ((any || choice == EngineChoice::scan) && scan_serves(problem)) {
    placement = match_scan(problem, plain);
  } else {
    placement = match_scalar(problem);
  }
  return {};
}

}  // namespace windlass::match
