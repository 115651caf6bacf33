#include "plugin/match/state.hpp"

#include <numeric>

namespace windlass::match {

OfferState::OfferState(const Problem& problem)
    : dimensions_(problem.dimensions),
      packing_(problem.mode == Mode::packing),
      swap_remove_(problem.ties == Ties::swap_remove),
      amounts_(problem.offers * problem.dimensions, 0),
      used_(problem.offers, 0),
      list_(problem.offers) {
  for (size_t d = 0; d < dimensions_; ++d) {
    const int64_t* column = problem.offer_amounts[d];
    if (!column) continue;
    for (size_t offer = 0; offer < problem.offers; ++offer) amounts_[offer * dimensions_ + d] = column[offer];
  }
  std::iota(list_.begin(), list_.end(), 0);
  if (swap_remove_) position_ = list_;
}

void OfferState::add(int32_t offer, std::span<const int64_t> wanted, int64_t sign) {
  int64_t* free = amounts_.data() + static_cast<size_t>(offer) * dimensions_;
  for (size_t d = 0; d < dimensions_; ++d) free[d] += sign * wanted[d];
}

void OfferState::place(int32_t offer, std::span<const int64_t> wanted) {
  ++used_[offer];
  if (packing_) add(offer, wanted, -1);
  if (!swap_remove_) return;
  const int32_t hole = position_[offer];
  const int32_t last = list_.back();
  list_[hole] = last;
  position_[last] = hole;
  list_.pop_back();
  position_[offer] = hole;  // also where it was the last itself
}

void OfferState::undo(int32_t offer, std::span<const int64_t> wanted) {
  --used_[offer];
  if (packing_) add(offer, wanted, +1);
  if (!swap_remove_) return;
  const int32_t hole = position_[offer];
  const int32_t end = static_cast<int32_t>(list_.size());
  list_.push_back(offer);
  if (hole == end) return;
  const int32_t moved = list_[hole];
  list_[end] = moved;
  position_[moved] = end;
  list_[hole] = offer;
}

}  // namespace windlass::match
