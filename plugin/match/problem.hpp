// What the matcher is asked and what it answers. Rows, dimensions and names are numbers; names stay with the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "plugin/match/wide.hpp"

namespace windlass::match {

enum class Mode { exclusive, packing };
enum class Policy { best_fit, worst_fit, dot_product, cost, fragmentation };
enum class Ties { stable, swap_remove };

// Scores are products of what is asked and what is free, fragmentation's but for what it adds.
constexpr bool of_products(Policy policy) {
  return policy == Policy::dot_product || policy == Policy::fragmentation;
}

struct Constraints;

// A view: all pointers belong to the caller and are only read. Valid once `validate` found no fault.
struct Problem {
  Mode mode = Mode::exclusive;
  Policy policy = Policy::best_fit;
  Ties ties = Ties::stable;
  bool normalize = true;
  size_t tasks = 0;
  size_t offers = 0;
  size_t dimensions = 0;
  const int64_t* const* task_amounts = nullptr;   // [dimensions] columns of [tasks] in units; a null column is all zero
  const int64_t* const* offer_amounts = nullptr;  // [dimensions] columns of [offers]
  const int64_t* weights = nullptr;               // [dimensions] rint(w x 2^16); null: 65536 each
  const int64_t* scale = nullptr;                 // [dimensions] M_d in units, 0: the largest offer; null: all 0
  const int32_t* priority = nullptr;              // [tasks]; null: all 0
  const int64_t* price = nullptr;                 // [offers] in 10^-6, -1: none; null: none has one
  std::optional<double> max_score;
  std::optional<int64_t> max_price;          // in 10^-6
  const Constraints* constraints = nullptr;  // null: none

  int64_t task_amount(size_t task, size_t d) const { return task_amounts[d] ? task_amounts[d][task] : 0; }
  int64_t offer_amount(size_t offer, size_t d) const { return offer_amounts[d] ? offer_amounts[d][offer] : 0; }
};

enum class Engine { scalar, avx2, avx512, neon };

struct Device {
  int32_t dimension;
  int32_t index;
};

struct Placement {
  Engine engine = Engine::scalar;
  size_t placed = 0;
  std::vector<int32_t> offer_index;   // by task, -1 where none
  std::vector<int32_t> order;         // tasks as they were taken, placed and unplaced alike
  std::vector<int64_t> score_high;    // by task: upper half of the 128-bit score, 0 where not placed
  std::vector<uint64_t> score_low;    // by task: lower half
  std::vector<int64_t> price_added;   // by task, in 10^-6; empty unless the policy is cost
  std::vector<int64_t> device_begin;  // [tasks + 1] into the two below; empty where no task asks for devices
  std::vector<int32_t> device_dimension;
  std::vector<int32_t> device_index;

  void resize(size_t tasks, bool with_price) {
    offer_index.assign(tasks, -1);
    score_high.assign(tasks, 0);
    score_low.assign(tasks, 0);
    if (with_price) price_added.assign(tasks, 0);
  }
  void put(size_t task, int32_t offer, Wide score) {
    offer_index[task] = offer;
    score_high[task] = high_half(score);
    score_low[task] = low_half(score);
  }
};

}  // namespace windlass::match
