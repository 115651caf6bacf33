// What the matcher's tests build problems from.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/match/problem.hpp"

namespace windlass::match {

// Owns the columns that a Problem views. Call `view` after the last change.
struct TestProblem {
  Problem problem;
  std::vector<std::vector<int64_t>> tasks;   // [dimensions][tasks]
  std::vector<std::vector<int64_t>> offers;  // [dimensions][offers]
  std::vector<int64_t> weights, scale, price;
  std::vector<int32_t> priority;

  const Problem& view() {
    problem.dimensions = tasks.size();
    if (!tasks.empty()) {
      problem.tasks = tasks[0].size();
      problem.offers = offers[0].size();
    }
    task_columns_.clear();
    offer_columns_.clear();
    for (const auto& column : tasks) task_columns_.push_back(column.data());
    for (const auto& column : offers) offer_columns_.push_back(column.data());
    problem.task_amounts = task_columns_.data();
    problem.offer_amounts = offer_columns_.data();
    problem.weights = weights.empty() ? nullptr : weights.data();
    problem.scale = scale.empty() ? nullptr : scale.data();
    problem.price = price.empty() ? nullptr : price.data();
    problem.priority = priority.empty() ? nullptr : priority.data();
    return problem;
  }

 private:
  std::vector<const int64_t*> task_columns_, offer_columns_;
};

}  // namespace windlass::match
