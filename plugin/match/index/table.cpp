#include "plugin/match/index/table.hpp"

#include <algorithm>

namespace windlass::match {

void Table::reserve(size_t entries) {
  const size_t cells_needed = (entries + kLanes - 1) / kLanes;
  key_.reserve(entries);
  group_.reserve(entries);
  cell_.reserve(entries);
  ranks_.reserve(cells_needed * rows_);
  tops_.reserve((cells_needed + kLanes - 1) / kLanes * rows_);
  live_.reserve(cells_needed);
  low_.reserve(cells_needed);
  tie_.reserve(cells_needed);
}

void Table::push(const Entry& entry, int32_t tie) {
  const size_t lane = entries_++ % kLanes;
  if (lane == 0) {
    if (cells() % kLanes == 0) tops_.resize(tops_.size() + rows_);
    ranks_.resize(ranks_.size() + rows_);
    live_.push_back(0);
    low_.push_back(entry.key);
    tie_.push_back(tie);
  }
  const size_t cell = cells() - 1;
  const auto bytes = bytes_of(entry.ranks);
  for (size_t row = 0; row < rows_; ++row) {
    ranks(cell)[row].byte[lane] = bytes[row];
    uint8_t& top = tops(cell)[row].byte[cell % kLanes];
    top = std::max(top, bytes[row]);
  }
  live_[cell] |= uint64_t{1} << lane;
  tie_[cell] = std::min(tie_[cell], tie);
  key_.push_back(entry.key);
  group_.push_back(entry.group);
  if (cell_.size() <= static_cast<size_t>(entry.group)) cell_.resize(static_cast<size_t>(entry.group) + 1);
  cell_[entry.group] = static_cast<int32_t>(cell);
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
  Table packed(rows_, kernel_);
  packed.reserve(entries_ - dead_);
  packed.cell_.resize(cell_.size());
  for (size_t cell = 0; cell < cells(); ++cell) {
    for (uint64_t mask = live_[cell]; mask != 0; mask &= mask - 1) {
      const auto lane = static_cast<size_t>(std::countr_zero(mask));
      uint64_t bytes = 0;
      for (size_t row = 0; row < rows_; ++row) {
        bytes |= static_cast<uint64_t>(ranks(cell)[row].byte[lane]) << (8 * row);
      }
      const size_t at = cell * kLanes + lane;
      packed.push({key_[at], bytes, group_[at]}, tie_[cell]);
    }
  }
  const auto adopt = [](auto& mine, auto& theirs) { mine.swap(theirs); };
  adopt(key_, packed.key_);
  adopt(group_, packed.group_);
  adopt(ranks_, packed.ranks_);
  adopt(tops_, packed.tops_);
  adopt(live_, packed.live_);
  adopt(low_, packed.low_);
  adopt(tie_, packed.tie_);
  adopt(cell_, packed.cell_);
  entries_ = packed.entries_;
  dead_ = 0;
}

}  // namespace windlass::match
