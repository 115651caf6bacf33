#include "worker/engines/match_run.hpp"

#include <chrono>
#include <new>

#include "worker/core/abi_error.hpp"
#include "worker/core/limits.hpp"
#include "worker/engines/match_frames.hpp"
#include "worker/engines/session_run.hpp"

namespace windlass::worker {
namespace {

constexpr std::size_t kColumnsOfResult = 9;  // at most
constexpr const char* kEngines[] = {"scalar", "avx2", "avx512", "neon"};

static_assert(static_cast<int>(proto::ColumnType::i4) == WINDLASS_I32 &&
              static_cast<int>(proto::ColumnType::u8) == WINDLASS_U64);
static_assert(static_cast<int>(proto::Policy::fragmentation) == WINDLASS_FRAGMENTATION &&
              static_cast<int>(proto::Mode::packing) == WINDLASS_PACKING);
static_assert(static_cast<int>(proto::Ties::swap_remove) == WINDLASS_SWAP_REMOVE);

}  // namespace

Answer result_of(windlass_match_result* raw, MatchTask& task) {
  const std::shared_ptr<const void> owner(raw, [](windlass_match_result* result) { windlass_match_free(result); });
  windlass_match_view view{};
  view.size = sizeof view;
  windlass_match_view_of(raw, &view);
  proto::MatchResult result;
  result.placed = view.placed;
  result.engine = view.engine < std::size(kEngines) ? kEngines[view.engine] : "other";
  Frames frames;
  frames.reserve(kColumnsOfResult + 1);
  frames.emplace_back();
  result.columns.reserve(kColumnsOfResult);
  ResultColumns columns(owner, frames, result.columns);
  using proto::ColumnType;
  result.offer_index = columns.add(ColumnType::i4, view.offer_index, view.tasks);
  result.order = columns.add(ColumnType::i4, view.order, view.tasks);
  result.score_high = columns.add(ColumnType::i8, view.score_high, view.tasks);
  result.score_low = columns.add(ColumnType::u8, view.score_low, view.tasks);
  result.price_added = columns.add(ColumnType::i8, view.price_added, view.tasks);
  if (view.device_begin != nullptr) {
    const auto devices = static_cast<std::uint64_t>(view.device_begin[view.tasks]);
    result.device_begin = columns.add(ColumnType::i8, view.device_begin, view.tasks + 1);
    result.device_dimension = columns.add(ColumnType::i4, view.device_dimension, devices);
    result.device_index = columns.add(ColumnType::i4, view.device_index, devices);
  }
  if (view.offer_number != nullptr) {
    result.offer_number = columns.add(ColumnType::i8, view.offer_number, view.tasks);
    result.version = view.version;
  }
  frames[0] = Frame(proto::encode(result));
  task.placed = view.placed;
  return {proto::Type::result, proto::Code::ok, std::move(frames)};
}

namespace {

Answer match(const proto::Match& body, MatchTask& task) {
  const Columns columns(body.columns, task.frames);
  const auto task_amounts = pointers(body.task_amounts, columns);
  const auto offer_amounts = pointers(body.offer_amounts, columns);
  windlass_match_request request = options_of(body);
  request.dimensions = body.dimensions;
  request.tasks = body.tasks;
  request.offers = body.offers;
  request.task_amounts = task_amounts.data();
  request.offer_amounts = offer_amounts.data();
  request.weights = body.weights.empty() ? nullptr : body.weights.data();
  request.scale = body.scale.empty() ? nullptr : body.scale.data();
  request.priority = columns.at<std::int32_t>(body.priority);
  request.price = columns.at<std::int64_t>(body.price);
  request.constraints = body.constraints.empty() ? nullptr : body.constraints.data();
  request.constraints_bytes = body.constraints.size();
  request.columns = columns.all().data();
  request.columns_count = columns.all().size();
  windlass_error error = empty_error();
  windlass_match_result* result = nullptr;
  const windlass_code code = windlass_match(&request, &result, &error);
  return code == WINDLASS_OK ? result_of(result, task) : error_answer(wire_error(code, error));
}

}  // namespace

void run_match(MatchTask& task) {
  if (task.session) return run_session(task);
  const Time began = Clock::now();
  if (task.deadline && began >= *task.deadline) {
    task.answer = error_answer(proto::Code::deadline_exceeded, "the deadline was over before a matcher was free", true);
    return;
  }
  if (!task.match) {
    auto body = proto::decode<proto::Match>(task.frames[0].view());
    if (!body) {
      task.answer = error_answer(proto::Code::invalid_argument, "MATCH: " + body.error().message);
      return;
    }
    task.match = std::move(*body);
  }
  const proto::Match& body = *task.match;
  std::vector<std::size_t> sizes;
  sizes.reserve(task.frames.size());
  for (std::size_t i = 1; i < task.frames.size(); ++i) sizes.push_back(task.frames[i].size());
  if (const auto fault = proto::check_columns(body.columns, sizes)) {
    task.answer = error_answer(proto::Code::invalid_argument, "MATCH: " + fault->message);
    return;
  }
  task.tasks = body.tasks;
  try {
    task.answer = match(body, task);
  } catch (const std::bad_alloc&) {
    task.answer = error_answer(proto::Code::resource_exhausted, "there is not enough memory for this match", true);
  }
  task.seconds = std::chrono::duration<double>(Clock::now() - began).count();
}

bool is_small_match(MatchTask& task) {
  if (task.session) return is_small_session(task);
  if (bytes_of(task.frames) > kInlineBytesMax) return false;
  // A few bytes may stand for many rows: nil columns cost nothing on the wire.
  auto body = proto::decode<proto::Match>(task.frames[0].view());
  if (!body) return true;
  task.match = std::move(*body);
  const proto::Match& read = *task.match;
  return read.tasks <= kInlinePairsMax && read.offers <= kInlinePairsMax && read.tasks * read.offers <= kInlinePairsMax;
}

}  // namespace windlass::worker
