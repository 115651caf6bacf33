// What the matcher's tests build problems from.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

// Owns the columns that a Problem views. Call `view` after the last change.
struct TestProblem {
  Problem problem;
  std::vector<std::vector<int64_t>> tasks;   // [dimensions][tasks]
  std::vector<std::vector<int64_t>> offers;  // [dimensions][offers]
  std::vector<int64_t> weights, scale, price;
  std::vector<int32_t> priority;
  bool constrained = false;
  Constraints given;
  std::list<std::vector<int32_t>> rows;   // what the constraints' columns point to
  std::list<std::vector<int64_t>> wides;  // the same for their int64 columns

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
    if (constrained) problem.constraints = &given;
    return problem;
  }

 private:
  std::vector<const int64_t*> task_columns_, offer_columns_;
};

}  // namespace windlass::match
