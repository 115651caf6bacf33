#include "worker/engines/session_run.hpp"

#include <chrono>
#include <new>
#include <string>

#include "worker/core/abi_error.hpp"
#include "worker/core/limits.hpp"
#include "worker/engines/match_frames.hpp"
#include "worker/engines/sessions.hpp"

namespace windlass::worker {
namespace {

using proto::ColumnType;

Answer refused(windlass_code code, const windlass_error& error) {
  return error_answer(wire_error(code, error));
}

Answer change(const proto::Session& body, const Columns& columns, MatchSession& session) {
  const auto amounts = pointers(body.rows.offer_amounts, columns);
  windlass_session_change change{};
  change.size = sizeof change;
  change.dimensions = body.rows.dimensions;
  change.rescale = body.rescale ? 1 : 0;
  change.expect_version = body.expect;
  change.adds = body.adds;
  change.updates = body.updates;
  change.removes = body.removes;
  change.releases = body.releases;
  change.offer_numbers = columns.at<std::int64_t>(body.offer_numbers);
  change.offer_amounts = amounts.empty() ? nullptr : amounts.data();
  change.price = columns.at<std::int64_t>(body.rows.price);
  change.weights = body.rows.weights.empty() ? nullptr : body.rows.weights.data();
  change.scale = body.rows.scale.empty() ? nullptr : body.rows.scale.data();
  change.remove_numbers = columns.at<std::int64_t>(body.remove_numbers);
  change.release_numbers = columns.at<std::int64_t>(body.release_numbers);
  change.constraints = body.rows.constraints.empty() ? nullptr : body.rows.constraints.data();
  change.constraints_bytes = body.rows.constraints.size();
  change.columns = columns.all().data();
  change.columns_count = columns.all().size();
  windlass_session_answer told{};
  told.size = sizeof told;
  windlass_error error = empty_error();
  const windlass_code code = windlass_session_apply(session.handle(), &change, &told, &error);
  if (code != WINDLASS_OK) return refused(code, error);
  session.note(told.version);
  session.note_offers(session.offers() + body.adds - told.removed);
  return answer_of(proto::Type::result, proto::SessionAnswer{{}, told.version, told.removed, told.released});
}

Answer match(const proto::Session& body, const Columns& columns, MatchTask& task) {
  const auto amounts = pointers(body.rows.task_amounts, columns);
  windlass_match_request request{};
  request.size = sizeof request;
  request.normalize = 1;
  request.max_price = -1;
  request.dimensions = body.rows.dimensions;
  request.tasks = body.rows.tasks;
  request.task_amounts = amounts.empty() ? nullptr : amounts.data();
  request.priority = columns.at<std::int32_t>(body.rows.priority);
  request.constraints = body.rows.constraints.empty() ? nullptr : body.rows.constraints.data();
  request.constraints_bytes = body.rows.constraints.size();
  request.columns = columns.all().data();
  request.columns_count = columns.all().size();
  windlass_error error = empty_error();
  windlass_match_result* result = nullptr;
  const windlass_code code = windlass_session_match(
      task.session->handle(), &request, columns.at<std::int64_t>(body.task_numbers), body.expect, &result, &error);
  if (code != WINDLASS_OK) return refused(code, error);
  windlass_match_view view{};
  view.size = sizeof view;
  windlass_match_view_of(result, &view);
  task.session->note(view.version);
  return result_of(result, task);
}

// The view lives until the session's next call, and the answer longer: its columns are copied.
class Copies {
 public:
  Copies(Frames& frames, std::vector<proto::ColumnSpec>& specs) : frames_(frames), specs_(specs) {}

  template <class Number>
  proto::Column add(ColumnType type, const Number* data, std::uint64_t count) {
    specs_.push_back({type, count});
    frames_.emplace_back(count == 0 ? std::string()
                                    : std::string(reinterpret_cast<const char*>(data), count * sizeof(Number)));
    return static_cast<std::uint32_t>(specs_.size() - 1);
  }

 private:
  Frames& frames_;
  std::vector<proto::ColumnSpec>& specs_;
};

Answer offers(MatchSession& session) {
  windlass_session_view view{};
  view.size = sizeof view;
  windlass_error error = empty_error();
  const windlass_code code = windlass_session_offers(session.handle(), &view, &error);
  if (code != WINDLASS_OK) return refused(code, error);
  proto::SessionOffers told;
  told.version = view.version;
  told.placed = view.placed;
  told.offers = view.offers;
  told.dimensions = view.dimensions;
  Frames frames(1);
  Copies columns(frames, told.columns);
  told.offer_numbers = columns.add(ColumnType::i8, view.offer_numbers, view.offers);
  told.price = columns.add(ColumnType::i8, view.price, view.offers);
  told.held = columns.add(ColumnType::i4, view.held, view.offers);
  told.scale = columns.add(ColumnType::i8, view.scale, view.dimensions);
  for (std::uint32_t d = 0; d < view.dimensions; ++d) {
    told.free_amounts.push_back(columns.add(ColumnType::i8, view.free_amounts[d], view.offers));
  }
  for (std::uint64_t kind = 0; kind < view.kinds; ++kind) {
    const auto shares = static_cast<std::uint64_t>(view.device_begin[kind][view.offers]);
    proto::SessionOffers::Devices devices;
    devices.dimension = static_cast<std::uint32_t>(view.kind_dimension[kind]);
    devices.begin = columns.add(ColumnType::i8, view.device_begin[kind], view.offers + 1);
    devices.shares = columns.add(ColumnType::i8, view.free_shares[kind], shares);
    told.devices.push_back(devices);
  }
  frames[0] = Frame(proto::encode(told));
  return {proto::Type::result, proto::Code::ok, std::move(frames)};
}

Answer run(const proto::Session& body, MatchTask& task) {
  const Columns columns(body.rows.columns, task.frames);
  task.tasks = body.rows.tasks;
  switch (body.op) {
    case proto::SessionOp::change:
      return change(body, columns, *task.session);
    case proto::SessionOp::match:
      return match(body, columns, task);
    default:
      return offers(*task.session);
  }
}

}  // namespace

void run_session(MatchTask& task) {
  const Time began = Clock::now();
  if (task.deadline && began >= *task.deadline) {
    task.answer = error_answer(proto::Code::deadline_exceeded, "the deadline was over before a matcher was free", true);
    return;
  }
  const auto body = proto::decode<proto::Session>(task.frames[0].view());
  if (!body) {
    task.answer = error_answer(proto::Code::invalid_argument, "SESSION: " + body.error().message);
    return;
  }
  std::vector<std::size_t> sizes;
  for (std::size_t i = 1; i < task.frames.size(); ++i) sizes.push_back(task.frames[i].size());
  if (const auto fault = proto::check_columns(body->rows.columns, sizes)) {
    task.answer = error_answer(proto::Code::invalid_argument, "SESSION: " + fault->message);
    return;
  }
  try {
    task.answer = run(*body, task);
  } catch (const std::bad_alloc&) {
    task.answer = error_answer(proto::Code::resource_exhausted, "there is not enough memory for this request", true);
  }
  task.seconds = std::chrono::duration<double>(Clock::now() - began).count();
}

bool is_small_session(const MatchTask& task) {
  if (bytes_of(task.frames) > kInlineBytesMax) return false;
  const auto body = proto::decode<proto::Session>(task.frames[0].view());
  if (!body) return true;
  const std::uint64_t offers = task.session->offers() + body->adds;
  return offers <= kInlinePairsMax && body->rows.tasks * offers <= kInlinePairsMax;
}

}  // namespace windlass::worker
