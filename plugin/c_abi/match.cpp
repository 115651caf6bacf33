// Matching through the C interface. WINDLASS_MATCH_ENGINE=scalar|index|auto forces an engine, for tests: results are
// the same from each.
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/c_abi/error.hpp"
#include "plugin/match/amounts.hpp"
#include "plugin/match/decode.hpp"
#include "plugin/match/matcher.hpp"

using windlass::c_abi::fail;
using windlass::c_abi::guarded;
namespace match = windlass::match;

struct windlass_match_result {
  match::Placement placement;
};

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

windlass_code fail_with(windlass_error* error, const match::Fault& fault) {
  const bool unserved = fault.kind == match::FaultKind::unimplemented;
  return fail(error, unserved ? WINDLASS_UNIMPLEMENTED : WINDLASS_INVALID_ARGUMENT, fault.message,
              {.side = side_of(fault.side), .row = fault.row, .field = fault.field});
}

match::Check bad_option(const char* field, const char* message) {
  return match::invalid(match::Side::options, -1, field, message);
}

match::Check read_options(const windlass_match_request& request, match::Problem& problem) {
  if (request.mode > WINDLASS_PACKING) return bad_option("mode", "mode must be 0 (exclusive) or 1 (packing)");
  if (request.policy > WINDLASS_COST) return bad_option("policy", "policy must be from 0 (best_fit) to 3 (cost)");
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

match::Check read_columns(const windlass_match_request& request, match::Problem& problem) {
  if (request.dimensions > 0 && (!request.task_amounts || !request.offer_amounts)) {
    return bad_option("dimensions", "task_amounts and offer_amounts must hold one pointer for each dimension");
  }
  problem.tasks = request.tasks;
  problem.offers = request.offers;
  problem.dimensions = request.dimensions;
  problem.task_amounts = request.task_amounts;
  problem.offer_amounts = request.offer_amounts;
  problem.weights = request.weights;
  problem.scale = request.scale;
  problem.priority = request.priority;
  problem.price = request.price;
  return {};
}

match::Check read_constraints(const windlass_match_request& request, match::Problem& problem,
                              match::Constraints& constraints) {
  if (!request.constraints || request.constraints_bytes == 0) return {};
  std::vector<match::Column> columns;
  for (uint64_t number = 0; number < request.columns_count; ++number) {
    const windlass_column& column = request.columns[number];
    if (column.type > WINDLASS_U64) return bad_option("columns", "a column's type must be a windlass_column_type");
    columns.push_back({static_cast<match::ColumnType>(column.type), column.data, column.count});
  }
  const std::string_view bytes(static_cast<const char*>(request.constraints), request.constraints_bytes);
  problem.constraints = &constraints;
  return match::decode_constraints(bytes, columns, problem, constraints);
}

match::EngineChoice engine_choice() {
  const char* name = std::getenv("WINDLASS_MATCH_ENGINE");
  if (name && std::string_view(name) == "scalar") return match::EngineChoice::scalar;
  if (name && std::string_view(name) == "index") return match::EngineChoice::index;
  return match::EngineChoice::automatic;
}

template <typename T>
const T* data_or_null(const std::vector<T>& values, bool present) {
  return present ? values.data() : nullptr;
}

}  // namespace

extern "C" {

windlass_code windlass_cut_amounts(const double* values, size_t count, windlass_cut_kind kind, int64_t* amounts,
                                   windlass_error* error) {
  return guarded(error, [&] {
    if (kind < WINDLASS_CUT_OFFER || kind > WINDLASS_CUT_SHARE) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, "kind must be a windlass_cut_kind");
    }
    const auto fault = match::cut_amounts({values, count}, static_cast<match::CutKind>(kind), amounts);
    if (!fault) return WINDLASS_OK;
    const std::string message = "row " + std::to_string(fault->row) + " is " + std::to_string(values[fault->row]) +
                                "; allowed is " + fault->allowed;
    const windlass_side side = kind == WINDLASS_CUT_TASK  ? WINDLASS_SIDE_TASKS
                               : kind == WINDLASS_CUT_CAP ? WINDLASS_SIDE_OPTIONS
                                                          : WINDLASS_SIDE_OFFERS;
    return fail(error, WINDLASS_INVALID_ARGUMENT, message, {.side = side, .row = static_cast<int64_t>(fault->row)});
  });
}

windlass_code windlass_match(const windlass_match_request* request, windlass_match_result** result,
                             windlass_error* error) {
  return guarded(error, [&] {
    if (!result) return fail(error, WINDLASS_INVALID_ARGUMENT, "result must not be NULL");
    *result = nullptr;
    windlass_match_request known;
    if (!windlass::c_abi::read_sized(request, offsetof(windlass_match_request, constraints), known)) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, "windlass_match_request: set size, and the rest to zero", {});
    }
    match::Problem problem;
    if (match::Check fault = read_options(known, problem)) return fail_with(error, *fault);
    if (match::Check fault = read_columns(known, problem)) return fail_with(error, *fault);
    match::Constraints constraints;
    if (match::Check fault = read_constraints(known, problem, constraints)) return fail_with(error, *fault);
    auto made = std::make_unique<windlass_match_result>();
    if (match::Check fault = match::match(problem, engine_choice(), made->placement)) return fail_with(error, *fault);
    *result = made.release();
    return WINDLASS_OK;
  });
}

void windlass_match_view_of(const windlass_match_result* result, windlass_match_view* view) {
  if (!result || !view) return;
  const match::Placement& placement = result->placement;
  const bool devices = !placement.device_begin.empty();
  windlass_match_view filled{};
  filled.engine = static_cast<uint32_t>(placement.engine);
  filled.tasks = placement.offer_index.size();
  filled.placed = placement.placed;
  filled.offer_index = placement.offer_index.data();
  filled.order = placement.order.data();
  filled.score_high = placement.score_high.data();
  filled.score_low = placement.score_low.data();
  filled.price_added = data_or_null(placement.price_added, !placement.price_added.empty());
  filled.device_begin = data_or_null(placement.device_begin, devices);
  filled.device_dimension = data_or_null(placement.device_dimension, devices);
  filled.device_index = data_or_null(placement.device_index, devices);
  windlass::c_abi::write_sized(filled, view);
}

void windlass_match_free(windlass_match_result* result) {
  delete result;
}
}
