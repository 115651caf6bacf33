#include "plugin/c_abi/match_parts.hpp"

#include <cstdlib>
#include <string_view>

#include "plugin/c_abi/error.hpp"

namespace windlass::c_abi {
namespace {

windlass_side side_of(match::Side side) {
  switch (side) {
    case match::Side::tasks:
      return WINDLASS_SIDE_TASKS;
    case match::Side::offers:
      return WINDLASS_SIDE_OFFERS;
    case match::Side::options:
      return WINDLASS_SIDE_OPTIONS;
    default:
      return WINDLASS_SIDE_NONE;
  }
}

}  // namespace

windlass_code fail_with(windlass_error* error, const match::Fault& fault) {
  const windlass_code code = fault.kind == match::FaultKind::unimplemented ? WINDLASS_UNIMPLEMENTED
                             : fault.kind == match::FaultKind::aborted     ? WINDLASS_ABORTED
                                                                           : WINDLASS_INVALID_ARGUMENT;
  return fail(error, code, fault.message, {.side = side_of(fault.side), .row = fault.row, .field = fault.field});
}

match::Check bad_option(const char* field, const char* message) {
  return match::invalid(match::Side::options, -1, field, message);
}

match::Check read_options(const windlass_match_request& request, match::Problem& problem) {
  if (request.mode > WINDLASS_PACKING) return bad_option("mode", "mode must be 0 (exclusive) or 1 (packing)");
  if (request.policy > WINDLASS_FRAGMENTATION) {
    return bad_option("policy", "policy must be from 0 (best_fit) to 4 (fragmentation)");
  }
  if (request.ties > WINDLASS_SWAP_REMOVE) return bad_option("ties", "ties must be 0 (stable) or 1 (swap_remove)");
  if (request.normalize > 1) return bad_option("normalize", "normalize must be 0 or 1");
  if (request.has_max_score > 1) return bad_option("max_score", "has_max_score must be 0 or 1");
  if (request.max_price < -1) return bad_option("max_price", "max_price must be -1 (none) or from 0 up");
  problem.mode = static_cast<match::Mode>(request.mode);
  problem.policy = static_cast<match::Policy>(request.policy);
  problem.ties = static_cast<match::Ties>(request.ties);
  problem.normalize = request.normalize != 0;
  if (request.has_max_score) problem.max_score = request.max_score;
  if (request.max_price >= 0) problem.max_price = request.max_price;
  return {};
}

match::Check read_columns(const windlass_column* columns, uint64_t count, std::vector<match::Column>& into) {
  for (uint64_t number = 0; number < count; ++number) {
    const windlass_column& column = columns[number];
    if (column.type > WINDLASS_U64) return bad_option("columns", "a column's type must be a windlass_column_type");
    into.push_back({static_cast<match::ColumnType>(column.type), column.data, column.count});
  }
  return {};
}

match::EngineChoice engine_choice() {
  const char* name = std::getenv("WINDLASS_MATCH_ENGINE");
  if (name && std::string_view(name) == "scalar") return match::EngineChoice::scalar;
  if (name && std::string_view(name) == "index") return match::EngineChoice::index;
  if (name && std::string_view(name) == "scan") return match::EngineChoice::scan;
  if (name && std::string_view(name) == "plain") return match::EngineChoice::plain;
  return match::EngineChoice::automatic;
}

}  // namespace windlass::c_abi
