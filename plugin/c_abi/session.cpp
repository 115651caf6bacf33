// Matching sessions through the C interface.
#include "plugin/match/session.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "plugin/c_abi/error.hpp"
#include "plugin/c_abi/match_parts.hpp"
#include "plugin/match/amounts.hpp"

using windlass::c_abi::fail;
using windlass::c_abi::fail_with;
using windlass::c_abi::guarded;
namespace match = windlass::match;

namespace {

// What the last windlass_session_view points to.
struct Shown {
  std::vector<int64_t> numbers, price;
  std::vector<int32_t> held, kinds;
  std::vector<std::vector<int64_t>> amounts, begins, shares;  // by dimension; by kind
  std::vector<const int64_t*> amount_columns, begin_columns, share_columns;
};

}  // namespace

struct windlass_session {
  explicit windlass_session(const match::Session::Options& options) : session(options) {}
  match::Session session;
  Shown shown;
};

namespace {

match::Check check_dimensions(uint32_t dimensions) {
  if (dimensions <= match::kDimensionsMax) return {};
  return windlass::c_abi::bad_option("dimensions", "at most 256 dimensions are served");
}

// Columns by dimension of the side that a call does not have.
using NoColumns = std::vector<const int64_t*>;

match::Check read_constraints(match::Session& session, const void* bytes, uint64_t count,
                              const windlass_column* columns, uint64_t columns_count, const match::Problem& problem,
                              match::Constraints& given) {
  std::vector<match::Column> views;
  if (match::Check fault = windlass::c_abi::read_columns(columns, columns_count, views)) return fault;
  return session.read({static_cast<const char*>(bytes), count}, views, problem, given);
}

template <typename T>
std::span<const T> span_of(const T* data, uint64_t count) {
  return {data, count};
}

match::Check check_pointers(const windlass_session_change& change) {
  const bool rows = change.adds > 0 || change.updates > 0;
  if ((rows && !change.offer_numbers) || (change.removes > 0 && !change.remove_numbers) ||
      (change.releases > 0 && !change.release_numbers)) {
    return windlass::c_abi::bad_option("numbers", "offers and tasks that are counted must have their numbers");
  }
  if (change.dimensions > 0 && rows && !change.offer_amounts) {
    return windlass::c_abi::bad_option("dimensions", "offer_amounts must hold one pointer for each dimension");
  }
  if (change.rescale > 1) return windlass::c_abi::bad_option("rescale", "rescale must be 0 or 1");
  if (change.adds > INT32_MAX || change.updates > INT32_MAX) {
    return windlass::c_abi::bad_option("adds", "more than 2^31 - 1 offers; split the change");
  }
  return {};
}

match::Check apply(match::Session& session, const windlass_session_change& asked, match::Session::Applied& applied) {
  if (match::Check fault = check_dimensions(asked.dimensions)) return fault;
  if (match::Check fault = check_pointers(asked)) return fault;
  const NoColumns none(asked.dimensions, nullptr);
  match::Session::Change change;
  change.rows.dimensions = asked.dimensions;
  change.rows.offers = asked.adds + asked.updates;
  change.rows.offer_amounts = asked.offer_amounts ? asked.offer_amounts : none.data();
  change.rows.task_amounts = none.data();
  change.rows.price = asked.price;
  change.rows.weights = asked.weights;
  change.rows.scale = asked.scale;
  change.adds = asked.adds;
  change.numbers = span_of(asked.offer_numbers, asked.adds + asked.updates);
  change.removes = span_of(asked.remove_numbers, asked.removes);
  change.releases = span_of(asked.release_numbers, asked.releases);
  change.rescale = asked.rescale != 0;
  change.expect = asked.expect_version;
  match::Constraints given;
  if (asked.constraints && asked.constraints_bytes > 0) {
    match::Check fault = read_constraints(session, asked.constraints, asked.constraints_bytes, asked.columns,
                                          asked.columns_count, change.rows, given);
    if (fault) return fault;
    change.given = &given;
  }
  return session.apply(change, applied);
}

match::Check match_tasks(match::Session& session, const windlass_match_request& asked, const int64_t* numbers,
                         int64_t expect, match::Session::Answer& answer) {
  if (asked.offers > 0) return windlass::c_abi::bad_option("offers", "a session has its offers; offers must be 0");
  if (asked.tasks > 0 && (!numbers || (asked.dimensions > 0 && !asked.task_amounts))) {
    return windlass::c_abi::bad_option("tasks", "task_numbers and task_amounts must be there");
  }
  if (match::Check fault = check_dimensions(asked.dimensions)) return fault;
  const NoColumns none(asked.dimensions, nullptr);
  match::Session::Call call;
  call.tasks.tasks = asked.tasks;
  call.tasks.dimensions = asked.dimensions;
  call.tasks.task_amounts = asked.task_amounts ? asked.task_amounts : none.data();
  call.tasks.offer_amounts = none.data();
  call.tasks.priority = asked.priority;
  call.numbers = span_of(numbers, asked.tasks);
  call.expect = expect;
  match::Constraints given;
  if (asked.constraints && asked.constraints_bytes > 0) {
    match::Check fault = read_constraints(session, asked.constraints, asked.constraints_bytes, asked.columns,
                                          asked.columns_count, call.tasks, given);
    if (fault) return fault;
    call.given = &given;
  }
  return session.match(call, answer);
}

void show_kinds(const match::Session& session, const std::vector<size_t>& slots, Shown& shown) {
  const match::SessionState& state = session.state();
  shown.kinds = session.kinds();
  for (const int32_t dimension : shown.kinds) {
    std::vector<int64_t>& begin = shown.begins.emplace_back(1, 0);
    std::vector<int64_t>& shares = shown.shares.emplace_back();
    for (const size_t slot : slots) {
      state.add_free_shares(slot, dimension, shares);
      begin.push_back(static_cast<int64_t>(shares.size()));
    }
  }
  for (const auto& column : shown.begins) shown.begin_columns.push_back(column.data());
  for (const auto& column : shown.shares) shown.share_columns.push_back(column.data());
}

void show(const match::Session& session, Shown& shown) {
  const match::SessionState& state = session.state();
  shown = {};
  std::vector<size_t> slots;
  for (size_t slot = 0; slot < state.slots(); ++slot) {
    if (!state.offer(slot).present) continue;
    slots.push_back(slot);
    shown.numbers.push_back(state.offer(slot).number);
    shown.price.push_back(state.offer(slot).price);
    shown.held.push_back(state.offer(slot).held);
  }
  for (size_t d = 0; d < state.dimensions(); ++d) {
    std::vector<int64_t>& column = shown.amounts.emplace_back();
    for (const size_t slot : slots) column.push_back(state.free(slot)[d]);
  }
  for (const auto& column : shown.amounts) shown.amount_columns.push_back(column.data());
  show_kinds(session, slots, shown);
}

}  // namespace

extern "C" {

windlass_code windlass_session_open(const windlass_match_request* options, windlass_session** session,
                                    windlass_error* error) {
  return guarded(error, [&] {
    if (!session) return fail(error, WINDLASS_INVALID_ARGUMENT, "session must not be NULL");
    *session = nullptr;
    windlass_match_request known;
    if (!windlass::c_abi::read_sized(options, offsetof(windlass_match_request, constraints), known)) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, "windlass_match_request: set size, and the rest to zero");
    }
    match::Problem problem;
    if (match::Check fault = windlass::c_abi::read_options(known, problem)) return fail_with(error, *fault);
    if (problem.ties != match::Ties::stable) {
      return fail_with(error, *windlass::c_abi::bad_option("ties", "a session breaks ties stable, not swap_remove"));
    }
    auto made = std::make_unique<windlass_session>(match::Session::Options{.mode = problem.mode,
                                                                           .policy = problem.policy,
                                                                           .normalize = problem.normalize,
                                                                           .max_score = problem.max_score,
                                                                           .max_price = problem.max_price,
                                                                           .engine = windlass::c_abi::engine_choice()});
    if (match::Check fault = made->session.check_options()) return fail_with(error, *fault);
    *session = made.release();
    return WINDLASS_OK;
  });
}

void windlass_session_close(windlass_session* session) {
  delete session;
}

windlass_code windlass_session_apply(windlass_session* session, const windlass_session_change* change,
                                     windlass_session_answer* answer, windlass_error* error) {
  return guarded(error, [&] {
    windlass_session_change known;
    if (!session || !windlass::c_abi::read_sized(change, sizeof(windlass_session_change), known)) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, "windlass_session_change: set size, and the rest to zero");
    }
    match::Session::Applied applied;
    if (match::Check fault = apply(session->session, known, applied)) return fail_with(error, *fault);
    windlass_session_answer told{};
    told.version = session->session.version();
    told.removed = applied.removed;
    told.released = applied.released;
    windlass::c_abi::write_sized(told, answer);
    return WINDLASS_OK;
  });
}

windlass_code windlass_session_match(windlass_session* session, const windlass_match_request* request,
                                     const int64_t* task_numbers, int64_t expect_version,
                                     windlass_match_result** result, windlass_error* error) {
  return guarded(error, [&] {
    if (!result) return fail(error, WINDLASS_INVALID_ARGUMENT, "result must not be NULL");
    *result = nullptr;
    windlass_match_request known;
    if (!session || !windlass::c_abi::read_sized(request, offsetof(windlass_match_request, constraints), known)) {
      return fail(error, WINDLASS_INVALID_ARGUMENT, "windlass_match_request: set size, and the rest to zero");
    }
    match::Session::Answer answer;
    match::Check fault = match_tasks(session->session, known, task_numbers, expect_version, answer);
    if (fault) return fail_with(error, *fault);
    *result = new windlass_match_result{.placement = std::move(answer.placement),
                                        .offer_number = std::move(answer.offer_number),
                                        .version = session->session.version(),
                                        .of_session = true};
    return WINDLASS_OK;
  });
}

windlass_code windlass_session_offers(windlass_session* session, windlass_session_view* view, windlass_error* error) {
  return guarded(error, [&] {
    if (!session || !view) return fail(error, WINDLASS_INVALID_ARGUMENT, "session and view must not be NULL");
    Shown& shown = session->shown;
    show(session->session, shown);
    windlass_session_view filled{};
    filled.dimensions = static_cast<uint32_t>(shown.amounts.size());
    filled.version = session->session.version();
    filled.placed = session->session.state().placed();
    filled.offers = shown.numbers.size();
    filled.offer_numbers = shown.numbers.data();
    filled.free_amounts = shown.amount_columns.data();
    filled.price = shown.price.data();
    filled.held = shown.held.data();
    filled.scale = session->session.scale().data();
    filled.kinds = shown.kinds.size();
    filled.kind_dimension = shown.kinds.data();
    filled.device_begin = shown.begin_columns.data();
    filled.free_shares = shown.share_columns.data();
    windlass::c_abi::write_sized(filled, view);
    return WINDLASS_OK;
  });
}
}
