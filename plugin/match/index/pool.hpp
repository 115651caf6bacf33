// The free offers of one call: groups of equal ones, who of a group is first, and the index over the groups.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/index/bands.hpp"
#include "plugin/match/index/ranks.hpp"
#include "plugin/match/index/table.hpp"
#include "plugin/match/index/tie_heap.hpp"
#include "plugin/match/problem.hpp"
#include "plugin/match/rules.hpp"
#include "plugin/match/scoring.hpp"

namespace windlass::match {

class Pool {
 public:
  Pool(const Problem& problem, const Scoring& scoring, const Ranks& ranks, const Kernel& kernel);

  // What a task looks for.
  struct Search {
    const int64_t* wanted;  // by dimension
    uint64_t ranks;
    Key from, to;
  };
  // The least key among the offers that hold what is wanted; group -1 where there is none.
  Slot best(const Search& search) const;
  // The same under constraints: the least key with the penalty, of the offers that the rules admit.
  Slot best(const Search& search, int32_t task, Rules& rules) const;
  // The offer of the slot's group that wins ties.
  int32_t offer(const Slot& slot) const { return root_[slot.group]; }
  // Takes that offer: away in exclusive mode, else it comes back with less, and its new key is answered.
  Key take(const Slot& slot, const int64_t* wanted, Wide wanted_sum);
  // Undoes the last `take` that stands: of that slot and offer, with the key that was answered. Only under constraints,
  // and before `tidy`.
  void undo(const Slot& slot, int32_t offer, const Key& after, const int64_t* wanted);
  // Closes gaps; to be called between turns.
  void tidy() {
    if (!packing_) table_.tidy();
  }
  // After `take`: what the offer holds now.
  const int64_t* amounts(int32_t offer) const { return group_amounts(group_of_[offer]); }

 private:
  const int64_t* group_amounts(int32_t group) const {
    return amounts_.data() + static_cast<size_t>(group) * dimensions_;
  }
  bool holds(int32_t group, const int64_t* wanted) const {
    const int64_t* has = group_amounts(group);
    bool enough = true;
    for (size_t d = 0; d < dimensions_; ++d) enough &= wanted[d] <= has[d];
    return enough;
  }
  void fill_hole(int32_t offer, const Slot& slot);
  void put_back(int32_t offer, const Key& key, std::vector<int64_t>& amounts);

  const Ranks& ranks_;
  const size_t dimensions_;
  const bool packing_, swap_remove_, descending_;
  // Each offer is a group of its own: under constraints equal ones may differ, and an exclusive row that is in the
  // order of ties needs no groups.
  const bool alone_;
  std::vector<int32_t> tie_;   // by offer: the lower wins a tie
  std::vector<int32_t> list_;  // swap_remove: free offers by position
  TieHeaps heaps_;
  std::vector<int64_t> amounts_;   // [groups][dimensions]
  std::vector<int32_t> root_;      // by group: its first offer
  std::vector<int32_t> group_of_;  // by offer
  std::vector<int32_t> spare_;     // groups without offers
  std::vector<int64_t> left_;      // scratch: what an offer holds after a task
  Table table_;                    // exclusive
  Bands bands_;                    // packing
};

}  // namespace windlass::match
