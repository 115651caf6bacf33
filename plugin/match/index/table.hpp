// The free offers of an exclusive call: entries in one row by key, which only go. Cells of 64 neighbours are tested at
// once, and blocks of 64 cells by the largest that each cell holds.
//
// An entry stands for a group of offers with equal amounts, or for one offer. Bytes (Ranks) only rule out; `admit`
// decides exactly.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "plugin/match/index/kernels.hpp"
#include "plugin/match/index/key.hpp"

namespace windlass::match {

class Table {
 public:
  Table(size_t rows, const Kernel& kernel) : rows_(rows), kernel_(kernel) {}

  // Takes in all entries, which ascend by key and are groups 0, 1, ... in this order. `tie`: by group.
  template <typename Tie>
  void build(std::span<const Entry> entries, Tie tie);
  void erase(const Slot& slot);
  // Puts back what was erased since the last `tidy`.
  void revive(const Slot& slot, uint64_t ranks);
  // A group's tie has sunk to this.
  void lower_tie(int32_t group, int32_t tie);
  // The slot's group, which won its tie, is gone or another of it is first. `tie` as of `best`.
  template <typename Tie>
  void raise_tie(const Slot& slot, Tie tie);
  // Closes the gaps once they are many. Slots are void afterwards.
  void tidy();

  // The first in the row, at most `to`, that `admit` answers with 0 or more.
  template <typename Admit>
  Slot first(uint64_t ranks, const Key& from, const Key& to, Admit admit) const;
  // As Bands::best.
  template <typename Admit, typename Tie>
  Slot best(uint64_t ranks, const Key& from, const Key& to, Admit admit, Tie tie) const;

 private:
  struct alignas(64) Lanes {
    uint8_t byte[kLanes];
  };

  size_t cells() const { return live_.size(); }
  void resize(size_t entries);
  void raise_tops();
  Lanes* ranks(size_t cell) { return &ranks_[cell * rows_]; }
  Lanes* tops(size_t cell) { return &tops_[cell / kLanes * rows_]; }
  size_t first_cell(const Key& from) const;
  // Visits the cells from the one at `from` on: visit(cell, mask) answers whether to go on.
  template <typename Visit>
  void walk(uint64_t ranks, const Key& from, Visit visit) const;

  const size_t rows_;
  const Kernel& kernel_;
  size_t entries_ = 0, dead_ = 0;
  std::vector<Key> key_;        // by entry
  std::vector<int32_t> group_;  // by entry
  std::vector<Lanes> ranks_;    // [cells][rows]; the first row is 0 where nothing is
  std::vector<Lanes> tops_;     // [blocks][rows] the largest rank that a cell ever had, 0 where all are gone
  std::vector<uint64_t> live_;  // by cell
  std::vector<Key> low_;        // by cell: the key of its first entry
  std::vector<int32_t> tie_;    // by cell: no group in it has a lower one
  std::vector<int32_t> cell_;   // by group
};

template <typename Tie>
void Table::build(std::span<const Entry> entries, Tie tie) {
  resize(entries.size());
  cell_.resize(entries.size());
  for (size_t at = 0; at < entries.size(); ++at) {
    const Entry& entry = entries[at];
    const size_t cell = at / kLanes, lane = at % kLanes;
    if (lane == 0) low_[cell] = entry.key;
    const auto bytes = bytes_of(entry.ranks);
    for (size_t row = 0; row < rows_; ++row) ranks(cell)[row].byte[lane] = bytes[row];
    key_[at] = entry.key;
    group_[at] = entry.group;
    cell_[entry.group] = static_cast<int32_t>(cell);
    tie_[cell] = std::min(tie_[cell], tie(entry.group));
  }
  raise_tops();
}

template <typename Tie>
void Table::raise_tie(const Slot& slot, Tie tie) {
  const auto cell = static_cast<size_t>(slot.position);
  const size_t first = cell * kLanes, last = std::min(first + kLanes, entries_) - 1;
  if (!(key_[first] == key_[last])) return;  // only where many keys are equal is it worth while
  int32_t lowest = std::numeric_limits<int32_t>::max();
  for (uint64_t mask = live_[cell]; mask != 0; mask &= mask - 1) {
    lowest = std::min(lowest, tie(group_[first + static_cast<size_t>(std::countr_zero(mask))]));
  }
  tie_[cell] = lowest;
}

template <typename Visit>
void Table::walk(uint64_t ranks, const Key& from, Visit visit) const {
  const auto least = bytes_of(ranks);
  const size_t start = first_cell(from);
  uint64_t wanted = ~uint64_t{0} << (start % kLanes);
  for (size_t block = start / kLanes; block * kLanes < cells(); ++block, wanted = ~uint64_t{0}) {
    uint64_t places = wanted & kernel_.among(tops_[block * rows_].byte, rows_, 1, least.data()).mask;
    while (places != 0) {
      const Hit hit = kernel_.among(ranks_[block * kLanes * rows_].byte, rows_, places, least.data());
      if (hit.mask == 0) break;
      if (!visit(block * kLanes + hit.at, hit.mask)) return;
      places &= ~uint64_t{1} << hit.at;
    }
  }
}

template <typename Admit>
Slot Table::first(uint64_t ranks, const Key& from, const Key& to, Admit admit) const {
  Slot found;
  walk(ranks, from, [&](size_t cell, uint64_t mask) {
    for (; mask != 0; mask &= mask - 1) {
      const int lane = std::countr_zero(mask);
      const size_t at = cell * kLanes + static_cast<size_t>(lane);
      if (admit(group_[at]) < 0) continue;
      if (!(to < key_[at])) found = {key_[at], key_[at], group_[at], static_cast<int32_t>(cell), lane, 0};
      return false;
    }
    return true;
  });
  return found;
}

template <typename Admit, typename Tie>
Slot Table::best(uint64_t ranks, const Key& from, const Key& to, Admit admit, Tie tie) const {
  Slot found;
  Key limit = to;
  int32_t lowest = 0;  // tie of what was found
  walk(ranks, from, [&](size_t cell, uint64_t mask) {
    if (limit < low_[cell]) return false;
    if (found.group >= 0 && tie_[cell] >= lowest && !(low_[cell] < limit)) return true;
    for (; mask != 0; mask &= mask - 1) {
      const int lane = std::countr_zero(mask);
      const size_t at = cell * kLanes + static_cast<size_t>(lane);
      const Key& key = key_[at];
      if (limit < key) return false;
      const int32_t group = group_[at];
      const bool loses_ties = found.group >= 0 && tie(group) >= lowest;
      if (loses_ties && key == limit) continue;
      const Wide extra = admit(group);
      if (extra < 0) continue;
      const Key total{key.price, key.sum + extra};
      if (limit < total || (loses_ties && total == limit)) continue;
      found = {key, total, group, static_cast<int32_t>(cell), lane, 0};
      lowest = tie(group);
      limit = total;
    }
    return true;
  });
  return found;
}

}  // namespace windlass::match
