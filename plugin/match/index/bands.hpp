// Free offers in bands of ascending keys, each band cut into cells of 64 by what the offers hold, so that a query sees
// at once which cells, and then which entries of a cell, may be large enough in every dimension.
//
// An entry stands for a group of offers with equal amounts. Bytes (Ranks) only rule out; `fits` decides exactly. Keys
// of a band lie between its own low key and the low key of the next one, both included.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "plugin/match/index/kernels.hpp"
#include "plugin/match/wide.hpp"

namespace windlass::match {

// What offers are ordered by: the smaller is the better.
struct Key {
  int64_t price = 0;
  Wide sum = 0;

  friend bool operator==(const Key& a, const Key& b) { return a.sum == b.sum && a.price == b.price; }
  friend bool operator<(const Key& a, const Key& b) { return a.price != b.price ? a.price < b.price : a.sum < b.sum; }
};

inline constexpr Wide kWideMax = static_cast<Wide>(~static_cast<WideUnsigned>(0) >> 1);
inline constexpr Key kKeyLeast{std::numeric_limits<int64_t>::min(), -kWideMax - 1};
inline constexpr Key kKeyMost{std::numeric_limits<int64_t>::max(), kWideMax};

class Bands {
 public:
  struct Entry {
    Key key;
    uint64_t ranks;  // as Ranks::of
    int32_t group;
  };
  // Where an entry is; valid until the next change.
  struct Slot {
    Key key;
    int32_t group = -1;  // -1: nothing was found
    int32_t position = 0, lane = 0, place = 0;
  };
  struct Shape {
    size_t rows;   // of ranks
    size_t cells;  // in a band, at most 64
    size_t fill;   // entries that a new cell gets, at most 64; fewer leave room for `insert`
  };

  Bands(const Shape& shape, const Kernel& kernel) : shape_(shape), kernel_(kernel) {}

  // Into an empty structure. `entries` ascend by key.
  void build(std::span<Entry> entries);
  // `same(group)` tells whether a group of equal key has equal amounts. Answers that group where one was met, and then
  // inserts nothing; else -1.
  template <typename Same>
  int32_t insert(const Entry& entry, Same same);
  void erase(const Slot& slot);

  // The smallest key from `from` to `to` whose group fits; of equal keys the one with the lowest tie(group).
  template <typename Fits, typename Tie>
  Slot best(uint64_t ranks, const Key& from, const Key& to, Fits fits, Tie tie) const;

 private:
  struct alignas(64) Lanes {
    uint8_t byte[kLanes];
  };
  struct Cell {
    uint64_t live = 0;
    std::array<int32_t, kLanes> group;
    std::array<Key, kLanes> key;
  };
  struct Band {
    uint64_t live = 0;  // places that hold a cell
    size_t count = 0;   // entries
    std::array<int32_t, kLanes> cell;
    std::array<Key, kLanes> least;  // of each cell; may be lower than its least entry
  };

  static bool next(uint64_t& mask, int& bit) {
    if (mask == 0) return false;
    bit = std::countr_zero(mask);
    mask &= mask - 1;
    return true;
  }
  uint64_t at_least(const std::vector<Lanes>& table, int32_t number, const uint8_t* ranks) const {
    const size_t first = static_cast<size_t>(number) * shape_.rows;
    return kernel_.at_least(table[first].byte, ranks, shape_.rows);
  }
  std::array<uint8_t, kRanksMax> unpack(uint64_t ranks) const;
  size_t first_band(const Key& from) const;
  size_t band_for(const Key& key);
  int choose_cell(int32_t band, const std::array<uint8_t, kRanksMax>& ranks) const;
  void put(int32_t band, int place, const Entry& entry);
  void split_cell(int32_t band, int place);
  void gather_cell(int32_t cell, std::vector<Entry>& into) const;
  void gather_band(int32_t band, std::vector<Entry>& into) const;
  void clear_band(int32_t band);
  void fill_band(int32_t band, std::span<Entry> entries);
  void fill_cells(int32_t band, std::span<Entry> entries, size_t cells);
  size_t widest_row(std::span<const Entry> entries) const;
  void sort_at(std::span<Entry> entries, size_t middle) const;
  void split_band(size_t position, const Entry& extra);
  void tidy(size_t position);
  void remove_band(size_t position);
  int32_t new_cell();
  int32_t new_band();
  size_t capacity() const { return shape_.cells * shape_.fill; }

  Shape shape_;
  const Kernel& kernel_;
  std::vector<Cell> cells_;
  std::vector<Lanes> ranks_;  // [cells][rows]
  std::vector<Band> bands_;
  std::vector<Lanes> tops_;  // [bands][rows] largest rank of each cell; may be too high
  std::vector<int32_t> spare_cells_, spare_bands_;
  std::vector<int32_t> order_;  // bands by key
  std::vector<Key> low_;        // by position in order_
};

template <typename Fits, typename Tie>
Bands::Slot Bands::best(uint64_t ranks, const Key& from, const Key& to, Fits fits, Tie tie) const {
  const std::array<uint8_t, kRanksMax> bytes = unpack(ranks);
  Slot found;
  Key limit = to;
  int32_t found_tie = 0;
  for (size_t position = first_band(from); position < order_.size(); ++position) {
    if (limit < low_[position]) break;
    const Band& band = bands_[order_[position]];
    uint64_t places = at_least(tops_, order_[position], bytes.data()) & band.live;
    for (int place; next(places, place);) {
      if (limit < band.least[place]) continue;
      const Cell& cell = cells_[band.cell[place]];
      uint64_t lanes = at_least(ranks_, band.cell[place], bytes.data()) & cell.live;
      for (int lane; next(lanes, lane);) {
        const Key& key = cell.key[lane];
        if (limit < key) continue;
        const int32_t group = cell.group[lane];
        const bool tied = found.group >= 0 && key == found.key;
        if (tied && tie(group) >= found_tie) continue;
        if (!fits(group)) continue;
        found = {key, group, static_cast<int32_t>(position), lane, place};
        found_tie = tie(group);
        limit = key;
      }
    }
  }
  return found;
}

template <typename Same>
int32_t Bands::insert(const Entry& entry, Same same) {
  if (order_.empty()) {
    Entry only = entry;
    build({&only, 1});
    return -1;
  }
  const size_t position = band_for(entry.key);
  const int32_t band = order_[position];
  const auto ranks = unpack(entry.ranks);
  int place = choose_cell(band, ranks);
  const Cell& cell = cells_[bands_[band].cell[place]];
  uint64_t lanes = cell.live;
  for (int lane; next(lanes, lane);) {
    if (cell.key[lane] == entry.key && same(cell.group[lane])) return cell.group[lane];
  }
  if (cell.live != ~uint64_t{0}) {
    put(band, place, entry);
  } else if (static_cast<size_t>(std::popcount(bands_[band].live)) < shape_.cells) {
    split_cell(band, place);
    put(band, choose_cell(band, ranks), entry);
  } else {
    split_band(position, entry);
  }
  return -1;
}

}  // namespace windlass::match
