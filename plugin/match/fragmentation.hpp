// What a placement adds to the fragmentation of devices (docs/matching.md, "Fragmentation"): free shares that the
// call's own tasks could not use.
//
// Why nothing overflows: shares are listed one by one, so an offer has fewer than 2^40 devices and 2^54 units free.
// Counts of tasks sum to less than 2^31, so a weighed sum is below 2^85 and x 2^40 below 2^125. A kind's part is at
// most 2^40 x 2^24 (an offer may be 2^24 x M_d), x 2^30 for the weight and x 2^8 kinds: 2^102.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plugin/match/devices.hpp"
#include "plugin/match/problem.hpp"
#include "plugin/match/scoring.hpp"

namespace windlass::match {

class Fragmentation {
 public:
  // The kinds of `devices` count; it is lent by every call of `increase` and left as it was.
  Fragmentation(const Problem& problem, const Scoring& scoring, const Devices& devices);

  // What placing the task on an offer that it fits adds to the score. `has` and `wanted`: amounts by dimension.
  Wide increase(int32_t task, int32_t offer, std::span<const int64_t> has, std::span<const int64_t> wanted,
                Devices& devices);
  // To be told after each placement and each undoing.
  void changed(int32_t offer);

 private:
  void number_demands();
  void choose_shapes(const Devices& devices);
  bool fits(size_t shape, std::span<const int64_t> has, int32_t offer, const Devices& devices) const;
  // By kind: over all shapes count x the free units that the shape could not use.
  void weigh(std::span<const int64_t> has, int32_t offer, const Devices& devices, std::span<Wide> sums) const;
  Wide computed(int32_t offer, std::span<const int64_t> has, std::span<const int64_t> wanted, Devices& devices);

  const Problem& problem_;
  const Scoring& scoring_;
  const size_t kinds_;
  std::vector<int32_t> demand_of_;               // by task: its number among distinct demands, those of shapes included
  std::vector<int32_t> example_;                 // by demand: the first task
  std::vector<int64_t> count_;                   // by demand: tasks
  std::vector<int64_t> shape_amounts_;           // [shapes][dimensions]
  std::vector<int64_t> shape_count_;             // by shape: tasks
  Wide total_ = 0;                               // of shape_count_
  std::vector<Wide> before_;                     // [offers][kinds] as the offers stand, where known_
  std::vector<bool> known_;                      // by offer
  std::vector<Wide> after_;                      // [kinds]
  std::vector<int64_t> left_;                    // [dimensions]
  size_t remembered_ = 0;                        // demands whose answers are kept, from 0
  std::vector<std::optional<int64_t>> answers_;  // [offers][remembered_]
};

}  // namespace windlass::match
