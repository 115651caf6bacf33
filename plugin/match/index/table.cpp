#include "plugin/match/index/table.hpp"

#include <algorithm>
#include <limits>

namespace windlass::match {

// Entries from the first on stay, and what follows them in the last cell is empty; all are live. Tops are to be raised.
void Table::resize(size_t entries) {
  const size_t count = (entries + kLanes - 1) / kLanes;
  entries_ = entries;
  dead_ = 0;
  key_.resize(entries);
  group_.resize(entries);
  ranks_.resize(count * rows_);
  live_.assign(count, ~uint64_t{0});
  low_.resize(count);
  tie_.resize(count, std::numeric_limits<int32_t>::max());
  const size_t left = entries % kLanes;
  if (left == 0) return;
  live_.back() >>= kLanes - left;
  for (size_t row = 0; row < rows_; ++row) std::fill_n(ranks(count - 1)[row].byte + left, kLanes - left, uint8_t{0});
}

void Table::raise_tops() {
  tops_.assign((cells() + kLanes - 1) / kLanes * rows_, Lanes{});
  for (size_t cell = 0; cell < cells(); ++cell) {
    for (size_t row = 0; row < rows_; ++row) {
      uint8_t most = 0;
      for (const uint8_t rank : ranks(cell)[row].byte) most = std::max(most, rank);
      tops(cell)[row].byte[cell % kLanes] = most;
    }
  }
}

void Table::erase(const Slot& slot) {
  const auto cell = static_cast<size_t>(slot.position);
  live_[cell] &= ~(uint64_t{1} << slot.lane);
  ranks(cell)->byte[slot.lane] = 0;
  if (live_[cell] == 0) tops(cell)->byte[cell % kLanes] = 0;
  ++dead_;
}

void Table::revive(const Slot& slot, uint64_t entry_ranks) {
  const auto cell = static_cast<size_t>(slot.position);
  live_[cell] |= uint64_t{1} << slot.lane;
  const uint8_t rank = bytes_of(entry_ranks)[0];
  ranks(cell)->byte[slot.lane] = rank;
  uint8_t& top = tops(cell)->byte[cell % kLanes];
  top = std::max(top, rank);
  --dead_;
}

void Table::lower_tie(int32_t group, int32_t tie) {
  int32_t& lowest = tie_[cell_[group]];
  lowest = std::min(lowest, tie);
}

size_t Table::first_cell(const Key& from) const {
  const auto at = std::lower_bound(low_.begin(), low_.end(), from);
  return at == low_.begin() ? 0 : static_cast<size_t>(at - low_.begin() - 1);
}

void Table::tidy() {
  if (dead_ < kLanes || dead_ * 3 < entries_) return;
  size_t kept = 0;
  for (size_t cell = 0; cell < cells(); ++cell) {
    const int32_t tie = tie_[cell];
    for (uint64_t mask = live_[cell]; mask != 0; mask &= mask - 1) {
      const auto lane = static_cast<size_t>(std::countr_zero(mask));
      const size_t at = cell * kLanes + lane, to = kept / kLanes, place = kept % kLanes;
      if (place == 0) {
        low_[to] = key_[at];
        tie_[to] = tie;
      }
      key_[kept] = key_[at];
      group_[kept] = group_[at];
      cell_[group_[at]] = static_cast<int32_t>(to);
      tie_[to] = std::min(tie_[to], tie);
      for (size_t row = 0; row < rows_; ++row) ranks(to)[row].byte[place] = ranks(cell)[row].byte[lane];
      ++kept;
    }
  }
  resize(kept);
  raise_tops();
}

}  // namespace windlass::match
