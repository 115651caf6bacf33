// Between the frames of matching and the columns of the C interface; for the files that run it. Any thread; no state.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "plugin/include/windlass/windlass.h"
#include "worker/engines/engines.hpp"

namespace windlass::worker {

// The columns of a request as the engine wants them: aligned. What lies askew in its frame is copied.
class Columns {
 public:
  Columns(const std::vector<proto::ColumnSpec>& specs, const Frames& frames) {
    columns_.reserve(specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      windlass_column column{};
      column.data = aligned(frames[i + 1], proto::bytes_of(specs[i].type));
      column.count = specs[i].count;
      column.type = static_cast<std::uint32_t>(specs[i].type);
      columns_.push_back(column);
    }
  }

  template <class Number>
  [[nodiscard]] const Number* at(proto::Column column) const {
    return column ? static_cast<const Number*>(columns_[*column].data) : nullptr;
  }
  [[nodiscard]] const std::vector<windlass_column>& all() const { return columns_; }

 private:
  const void* aligned(const Frame& frame, std::size_t to) {
    const void* data = frame.view().data();
    if (frame.size() == 0) return &nothing_;
    if (reinterpret_cast<std::uintptr_t>(data) % to == 0) return data;
    auto& copy = copies_.emplace_back(std::make_unique<std::uint64_t[]>((frame.size() + 7) / 8));
    std::memcpy(copy.get(), data, frame.size());
    return copy.get();
  }

  std::uint64_t nothing_ = 0;
  std::vector<windlass_column> columns_;
  std::vector<std::unique_ptr<std::uint64_t[]>> copies_;
};

[[nodiscard]] inline std::vector<const std::int64_t*> pointers(const std::vector<proto::Column>& wanted,
                                                               const Columns& columns) {
  std::vector<const std::int64_t*> amounts;
  amounts.reserve(wanted.size());
  for (const proto::Column column : wanted) amounts.push_back(columns.at<std::int64_t>(column));
  return amounts;
}

// What a MATCH asks for beside its rows.
[[nodiscard]] inline windlass_match_request options_of(const proto::Match& body) {
  windlass_match_request request{};
  request.size = sizeof request;
  request.mode = static_cast<std::uint32_t>(body.mode);
  request.policy = static_cast<std::uint32_t>(body.policy);
  request.ties = static_cast<std::uint32_t>(body.ties);
  request.normalize = body.normalize ? 1 : 0;
  request.has_max_score = body.max_score ? 1 : 0;
  request.max_score = body.max_score.value_or(0.0);
  request.max_price = body.max_price;
  return request;
}

// Adds columns that live as long as the engine's result.
class ResultColumns {
 public:
  ResultColumns(std::shared_ptr<const void> owner, Frames& frames, std::vector<proto::ColumnSpec>& specs)
      : owner_(std::move(owner)), frames_(frames), specs_(specs) {}

  template <class Number>
  proto::Column add(proto::ColumnType type, const Number* data, std::uint64_t count) {
    if (data == nullptr) return std::nullopt;
    const auto number = static_cast<std::uint32_t>(specs_.size());
    specs_.push_back({type, count});
    frames_.emplace_back(owner_, std::string_view(reinterpret_cast<const char*>(data), count * sizeof(Number)));
    return number;
  }

 private:
  std::shared_ptr<const void> owner_;
  Frames& frames_;
  std::vector<proto::ColumnSpec>& specs_;
};

// The answer of a match, which owns the result; fills the task's numbers.
[[nodiscard]] Answer result_of(windlass_match_result* raw, MatchTask& task);

}  // namespace windlass::worker
