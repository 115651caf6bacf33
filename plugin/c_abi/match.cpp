// Matching through the C interface. WINDLASS_MATCH_ENGINE (matcher.hpp) forces an engine, for tests and benchmarks.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "plugin/c_abi/error.hpp"
#include "plugin/c_abi/match_parts.hpp"
#include "plugin/match/amounts.hpp"

using windlass::c_abi::bad_option;
using windlass::c_abi::engine_choice;
using windlass::c_abi::fail;
using windlass::c_abi::fail_with;
using windlass::c_abi::guarded;
using windlass::c_abi::read_columns;
using windlass::c_abi::read_options;
namespace match = windlass::match;

namespace {

match::Check read_rows(const windlass_match_request& request, match::Problem& problem) {
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
  if (match::Check fault = read_columns(request.columns, request.columns_count, columns)) return fault;
  const std::string_view bytes(static_cast<const char*>(request.constraints), request.constraints_bytes);
  problem.constraints = &constraints;
  return match::decode_constraints(bytes, columns, problem, constraints);
}

template <typename T>
const T* data_or_null(const std::vector<T>& values, bool present) {
  return present ? values.data() : nullptr;
}

constexpr const char* kNoKind = "kind must be a windlass_cut_kind";

bool is_kind(windlass_cut_kind kind) {
  return kind >= WINDLASS_CUT_OFFER && kind <= WINDLASS_CUT_SHARE;
}

windlass_code refuse(windlass_error* error, windlass_cut_kind kind, const match::CutFault& fault, const double* values,
                     std::string_view field) {
  const std::string message =
      "row " + std::to_string(fault.row) + " is " + std::to_string(values[fault.row]) + "; allowed is " + fault.allowed;
  const windlass_side side = kind == WINDLASS_CUT_TASK  ? WINDLASS_SIDE_TASKS
                             : kind == WINDLASS_CUT_CAP ? WINDLASS_SIDE_OPTIONS
                                                        : WINDLASS_SIDE_OFFERS;
  return fail(error, WINDLASS_INVALID_ARGUMENT, message,
              {.side = side, .row = static_cast<int64_t>(fault.row), .field = field});
}

// Why the columns cannot be an answer; null: they can.
const char* odd_placement(std::span<const int32_t> offer_index, std::span<const int32_t> order, size_t offers,
                          bool exclusive) {
  std::vector<bool> taken(exclusive ? offers : 0), seen(order.size());
  for (const int32_t offer : offer_index) {
    if (offer < -1 || (offer >= 0 && static_cast<size_t>(offer) >= offers))
      return "offer_index names an offer that does not exist";
    if (offer < 0 || !exclusive) continue;
    if (taken[offer]) return "an offer is given twice";
    taken[offer] = true;
  }
  for (const int32_t task : order) {
    if (task < 0 || static_cast<size_t>(task) >= order.size()) return "order names a task that does not exist";
    if (seen[task]) return "order names a task twice";
    seen[task] = true;
  }
  return nullptr;
}

constexpr const char* kNoSize = "windlass_match_request: set size, and the rest to zero";
constexpr size_t kLeastRequest = offsetof(windlass_match_request, constraints);  // that any caller knows

}  // namespace

struct windlass_match_job {
  windlass_match_request request;
  windlass_match_result* result = nullptr;
  windlass_error error{};
  windlass_code code = WINDLASS_OK;
  std::thread thread{};  // none: not begun

  void run() {
    error.size = sizeof error;
    code = windlass_match(&request, &result, &error);
  }
};

extern "C" {

windlass_code windlass_cut_amounts(const double* values, size_t count, windlass_cut_kind kind, int64_t* amounts,
                                   windlass_error* error) {
  return guarded(error, [&] {
    if (!is_kind(kind)) return fail(error, WINDLASS_INVALID_ARGUMENT, kNoKind);
    const auto fault = match::cut_amounts({values, count}, static_cast<match::CutKind>(kind), amounts);
    return fault ? refuse(error, kind, *fault, values, "") : WINDLASS_OK;
  });
}

windlass_code windlass_cut_columns(const double* const* columns, size_t columns_count, size_t count,
                                   windlass_cut_kind kind, int64_t* amounts, windlass_error* error) {
  return guarded(error, [&] {
    if (!is_kind(kind)) return fail(error, WINDLASS_INVALID_ARGUMENT, kNoKind);
    for (size_t at = 0; at < columns_count; ++at) {
      const std::span<const double> values(columns[at], count);
      const auto fault = match::cut_amounts(values, static_cast<match::CutKind>(kind), amounts + at * count, true);
      if (fault) return refuse(error, kind, *fault, columns[at], "columns." + std::to_string(at));
    }
    return WINDLASS_OK;
  });
}

windlass_code windlass_match(const windlass_match_request* request, windlass_match_result** result,
                             windlass_error* error) {
  return guarded(error, [&] {
    if (!result) return fail(error, WINDLASS_INVALID_ARGUMENT, "result must not be NULL");
    *result = nullptr;
    windlass_match_request known;
    if (!windlass::c_abi::read_sized(request, kLeastRequest, known))
      return fail(error, WINDLASS_INVALID_ARGUMENT, kNoSize);
    match::Problem problem;
    if (match::Check fault = read_options(known, problem)) return fail_with(error, *fault);
    if (match::Check fault = read_rows(known, problem)) return fail_with(error, *fault);
    match::Constraints constraints;
    if (match::Check fault = read_constraints(known, problem, constraints)) return fail_with(error, *fault);
    auto made = std::make_unique<windlass_match_result>();
    if (match::Check fault = match::match(problem, engine_choice(), made->placement)) return fail_with(error, *fault);
    *result = made.release();
    return WINDLASS_OK;
  });
}

windlass_code windlass_match_begin(const windlass_match_request* request, windlass_match_job** job,
                                   windlass_error* error) {
  return guarded(error, [&] {
    if (!job) return fail(error, WINDLASS_INVALID_ARGUMENT, "job must not be NULL");
    *job = nullptr;
    auto made = std::make_unique<windlass_match_job>();
    if (!windlass::c_abi::read_sized(request, kLeastRequest, made->request)) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, kNoSize);
    }
    made->request.size = sizeof made->request;
    try {
      made->thread = std::thread(&windlass_match_job::run, made.get());
    } catch (const std::system_error&) {  // it will be run by whoever waits
    }
    *job = made.release();
    return WINDLASS_OK;
  });
}

windlass_code windlass_match_wait(windlass_match_job* job, windlass_match_result** result, windlass_error* error) {
  if (!job || !result) return fail(error, WINDLASS_INVALID_ARGUMENT, "job and result must not be NULL");
  const std::unique_ptr<windlass_match_job> own(job);
  if (own->thread.joinable()) {
    own->thread.join();
  } else {
    own->run();
  }
  *result = own->result;
  windlass::c_abi::write_sized(own->error, error);
  return own->code;
}

windlass_code windlass_check_placement(const int32_t* offer_index, const int32_t* order, uint64_t tasks,
                                       uint64_t offers, windlass_mode mode, windlass_error* error) {
  return guarded(error, [&] {
    const char* fault = odd_placement({offer_index, tasks}, {order, tasks}, offers, mode == WINDLASS_EXCLUSIVE);
    return fault ? fail(error, WINDLASS_INVALID_ARGUMENT, fault) : WINDLASS_OK;
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
  filled.offer_number = data_or_null(result->offer_number, result->of_session);
  filled.version = result->version;
  windlass::c_abi::write_sized(filled, view);
}

void windlass_match_free(windlass_match_result* result) {
  delete result;
}
}
