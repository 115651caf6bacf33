// Free offers in bands of ascending keys, each band cut into cells of 64 by what the offers hold, so that a query sees
// at once which cells, and then which entries of a cell, may be large enough in every dimension.
//
// An entry stands for a group of offers with equal amounts. Bytes (Ranks) only rule out; `admit` decides exactly. Keys
// of a band lie between its own low key and the low key of the next one, both included.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/huge_vector.hpp"
#include "plugin/match/index/kernels.hpp"
#include "plugin/match/index/key.hpp"

namespace windlass::match {

class Bands {
 public:
  using Entry = match::Entry;
  using Slot = match::Slot;

  struct Shape {
    size_t rows;         // of ranks
    size_t cells;        // in a band, at most 64
    size_t fill;         // entries that a new cell gets, at most 64; fewer leave room for `insert`
    bool priced = true;  // false: all prices are 0, so that sums tell keys apart
  };

  Bands(const Shape& shape, const Kernel& kernel) : shape_(shape), kernel_(kernel) {}

  // Into an empty structure. `entries` ascend by key.
  void build(std::span<Entry> entries);
  // Where an entry is likely to go, found ahead of time.
  struct Hint {
    size_t position = 0;  // of the band
    int place = -1;       // of the cell in it, -1: not looked for
  };
  // `same(group)` tells whether a group of equal key has equal amounts. Answers that group where one was met, and then
  // inserts nothing; else -1. A hint that holds no longer costs time alone.
  template <typename Same>
  int32_t insert(const Entry& entry, Same same, const Hint& hint);
  void erase(const Slot& slot);
  // A group that was inserted with this key.
  void erase(int32_t group, const Key& key);
  // Brings near what `erase` will look at: first where the group is, then its cell.
  void prefetch(int32_t group) const { __builtin_prefetch(&where_[group]); }
  void prefetch_cell(int32_t group) const;
  // The same of `insert`: first the band, then the cell in it.
  void find_band(const Key& key, Hint& hint) const;
  void find_cell(const Key& key, uint64_t ranks, Hint& hint) const;

  // The smallest total up to `to` among keys from `from` up; of equal ones the one with the lowest tie(group).
  // `admit(group)` answers what is added to the key's sum, 0 or more, or a negative number where the group is refused.
  template <typename Admit, typename Tie>
  Slot best(uint64_t ranks, const Key& from, const Key& to, Admit admit, Tie tie) const;

 private:
  struct alignas(64) Lanes {
    uint8_t byte[kLanes];
  };
  struct Cell {
    uint64_t live = 0;
    int32_t band = -1;
    int32_t place = -1;  // in its band
    std::array<int32_t, kLanes> group;
    std::array<float, kLanes> rough;  // of the key: most of the greater ones are passed over by it
    std::array<Key, kLanes> key;
  };
  struct Band {
    uint64_t live = 0;  // places that hold a cell
    size_t count = 0;   // entries
    std::array<int32_t, kLanes> cell;
    std::array<Key, kLanes> least;  // of each cell; may be lower than its least entry
  };

  struct Where {
    int32_t cell;
    int32_t lane;
  };

  struct Search {
    Slot found{};
    Key limit;  // greater totals are of no interest
    float rough_limit;
    int32_t tie = 0;
  };

  static bool next(uint64_t& mask, int& bit) {
    if (mask == 0) return false;
    bit = std::countr_zero(mask);
    mask &= mask - 1;
    return true;
  }
  // Never greater for the smaller key.
  float rough(const Key& key) const { return static_cast<float>(shape_.priced ? Wide{key.price} : key.sum); }
  Tables tables(const HugeVector<Lanes>& of, const int32_t* numbers) const {
    return {of.data()->byte, shape_.rows, numbers};
  }
  template <typename Admit, typename Tie>
  void search_band(size_t position, uint64_t places, const std::array<uint8_t, kRanksMax>& least, Search& search,
                   Admit admit, Tie tie) const;
  size_t first_band(const Key& from) const;
  size_t position_of(const Key& key) const;
  bool lies_in(const Key& key, size_t position) const;
  size_t band_for(const Key& key, const Hint& hint);
  size_t position_of_band(int32_t band, const Key& key) const;
  void prefetch_ranks(int32_t cell) const;
  int choose_cell(int32_t band, const std::array<uint8_t, kRanksMax>& ranks) const;
  void put(int32_t band, int place, const Entry& entry);
  void split_cell(int32_t band, int place);
  void gather_cell(int32_t cell, std::vector<Entry>& into) const;
  void gather_band(int32_t band, std::vector<Entry>& into) const;
  void drop_cell(int32_t band, int place);
  void clear_band(int32_t band);
  void fill_band(int32_t band, std::span<Entry> entries);
  void fill_cells(int32_t band, std::span<Entry> entries, size_t cells);
  // Entries whose rank in the row is below the bound go into so many cells; 0: there is no good cut.
  struct Cut {
    size_t row = 0, bound = 0, cells = 0;
  };
  Cut best_cut(std::span<const Entry> entries, size_t cells) const;
  size_t cells_of(size_t part, size_t all, size_t cells) const;
  void split_band(size_t position, const Entry& extra);
  void remove(int32_t band, int place, int lane);
  void lower_tops(int32_t band, int place, int lane);
  bool is_sparse(const Band& band) const;
  bool needs_care(int32_t band) const;
  void care_for(size_t position);
  void tidy(size_t position);
  void remove_band(size_t position);
  int32_t new_cell();
  int32_t new_band();
  size_t capacity() const { return shape_.cells * shape_.fill; }

  Shape shape_;
  const Kernel& kernel_;
  HugeVector<Cell> cells_;
  HugeVector<Where> where_;  // by group
  HugeVector<Lanes> ranks_;  // [cells][rows]; 0 where no entry is
  HugeVector<Band> bands_;
  HugeVector<Lanes> tops_;  // [bands][rows] largest rank of each cell, 0 where there is none
  std::vector<int32_t> spare_cells_, spare_bands_;
  std::vector<int32_t> order_;  // bands by key
  std::vector<Key> low_;        // by position in order_
};

template <typename Admit, typename Tie>
Slot Bands::best(uint64_t ranks, const Key& from, const Key& to, Admit admit, Tie tie) const {
  if (order_.empty()) return {};
  const std::array<uint8_t, kRanksMax> least = bytes_of(ranks);
  const Tables bands = tables(tops_, order_.data());
  Search search{.limit = to, .rough_limit = rough(to)};
  for (size_t position = first_band(from);; ++position) {
    const Hit hit = kernel_.first(bands, position, order_.size(), least.data());
    if (hit.mask == 0 || search.limit < low_[hit.at]) break;
    position = hit.at;
    search_band(position, hit.mask, least, search, admit, tie);
    if (search.found.group >= 0 && position + 1 < order_.size() && search.limit < low_[position + 1]) break;
  }
  return search.found;
}

template <typename Admit, typename Tie>
void Bands::search_band(size_t position, uint64_t places, const std::array<uint8_t, kRanksMax>& least, Search& search,
                        Admit admit, Tie tie) const {
  const Band& band = bands_[order_[position]];
  std::array<int32_t, kLanes> numbers;
  std::array<uint8_t, kLanes> place_of;
  size_t count = 0;
  for (int place; next(places, place);) {
    if (search.found.group >= 0 && search.limit < band.least[place]) continue;
    numbers[count] = band.cell[place];
    prefetch_ranks(band.cell[place]);
    place_of[count++] = static_cast<uint8_t>(place);
  }
  const Tables cells = tables(ranks_, numbers.data());
  for (size_t at = 0;; ++at) {
    Hit hit = kernel_.first(cells, at, count, least.data());
    if (hit.mask == 0) return;
    at = hit.at;
    const Cell& cell = cells_[numbers[at]];
    for (int lane; next(hit.mask, lane);) {
      if (search.rough_limit < cell.rough[lane]) continue;
      const Key& key = cell.key[lane];
      if (search.limit < key) continue;
      const int32_t group = cell.group[lane];
      const bool loses_ties = search.found.group >= 0 && tie(group) >= search.tie;
      if (loses_ties && key == search.limit) continue;
      const Wide extra = admit(group);
      if (extra < 0) continue;
      const Key total{key.price, key.sum + extra};
      if (search.limit < total || (loses_ties && total == search.limit)) continue;
      search.found = {key, total, group, static_cast<int32_t>(position), lane, place_of[at]};
      search.tie = tie(group);
      search.limit = total;
      search.rough_limit = rough(total);
    }
  }
}

template <typename Same>
int32_t Bands::insert(const Entry& entry, Same same, const Hint& hint) {
  if (order_.empty()) {
    Entry only = entry;
    build({&only, 1});
    return -1;
  }
  const size_t position = band_for(entry.key, hint);
  const int32_t band = order_[position];
  const auto ranks = bytes_of(entry.ranks);
  const float roughly = rough(entry.key);
  int place = position == hint.position && hint.place >= 0 && (bands_[band].live >> hint.place & 1) != 0
                  ? hint.place
                  : choose_cell(band, ranks);
  for (;; place = choose_cell(band, ranks)) {  // cells are cut until the one that suits has room
    const Cell& cell = cells_[bands_[band].cell[place]];
    uint64_t lanes = cell.live;
    for (int lane; next(lanes, lane);) {
      if (cell.rough[lane] != roughly) continue;
      if (cell.key[lane] == entry.key && same(cell.group[lane])) return cell.group[lane];
    }
    if (cell.live != ~uint64_t{0}) {
      put(band, place, entry);
      return -1;
    }
    if (static_cast<size_t>(std::popcount(bands_[band].live)) == shape_.cells) {
      split_band(position, entry);
      return -1;
    }
    split_cell(band, place);
  }
}

}  // namespace windlass::match
