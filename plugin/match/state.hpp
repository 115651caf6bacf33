// The offers of one call as they stand: what is free, which are used, and who comes first among equals.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/problem.hpp"

namespace windlass::match {

class OfferState {
 public:
  explicit OfferState(const Problem& problem);

  // Free offers, those that win a tie first; with `stable` used ones stand in it too.
  std::span<const int32_t> list() const { return list_; }
  bool free(int32_t offer) const { return packing_ || !used_[offer]; }
  std::span<const int64_t> amounts(int32_t offer) const {
    return std::span(amounts_).subspan(static_cast<size_t>(offer) * dimensions_, dimensions_);
  }
  // Tasks of this call that the offer holds.
  int32_t held(int32_t offer) const { return used_[offer]; }

  // `wanted`: the task's amounts by dimension, which the offer has.
  void place(int32_t offer, std::span<const int64_t> wanted);
  // Undoes the last `place` that was not undone yet.
  void undo(int32_t offer, std::span<const int64_t> wanted);

 private:
  void add(int32_t offer, std::span<const int64_t> wanted, int64_t sign);

  size_t dimensions_;
  bool packing_;
  bool swap_remove_;
  std::vector<int64_t> amounts_;   // [offers][dimensions]
  std::vector<int32_t> used_;      // [offers] tasks of this call
  std::vector<int32_t> list_;      // offers
  std::vector<int32_t> position_;  // [offers] in list_; of a used offer the position that it had; swap_remove only
};

}  // namespace windlass::match
