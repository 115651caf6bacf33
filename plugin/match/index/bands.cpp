#include "plugin/match/index/bands.hpp"

#include <algorithm>

namespace windlass::match {
namespace {

uint8_t rank_at(uint64_t ranks, size_t row) {
  return static_cast<uint8_t>(ranks >> (8 * row));
}

bool by_key(const Entry& a, const Entry& b) {
  return a.key < b.key;
}

}  // namespace

void Bands::build(std::span<Entry> entries) {
  for (size_t first = 0; first < entries.size(); first += capacity()) {
    const std::span<Entry> part = entries.subspan(first, std::min(capacity(), entries.size() - first));
    order_.push_back(new_band());
    low_.push_back(part.front().key);
    fill_band(order_.back(), part);
  }
}

size_t Bands::first_band(const Key& from) const {
  const auto at = std::lower_bound(low_.begin(), low_.end(), from);
  return at == low_.begin() ? 0 : static_cast<size_t>(at - low_.begin() - 1);
}

// Of the band whose keys it lies among; the first one's where it lies below all.
size_t Bands::position_of(const Key& key) const {
  const auto at = std::upper_bound(low_.begin(), low_.end(), key);
  return at == low_.begin() ? 0 : static_cast<size_t>(at - low_.begin() - 1);
}

bool Bands::lies_in(const Key& key, size_t position) const {
  return position < low_.size() && !(key < low_[position]) && (position + 1 == low_.size() || key < low_[position + 1]);
}

size_t Bands::band_for(const Key& key, const Hint& hint) {
  const size_t position = lies_in(key, hint.position) ? hint.position : position_of(key);
  if (key < low_[position]) low_[position] = key;
  return position;
}

int32_t Bands::new_cell() {
  if (spare_cells_.empty()) {
    cells_.emplace_back();
    ranks_.resize(cells_.size() * shape_.rows);
    return static_cast<int32_t>(cells_.size() - 1);
  }
  const int32_t cell = spare_cells_.back();
  spare_cells_.pop_back();
  cells_[cell].live = 0;
  const auto first = ranks_.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(cell) * shape_.rows);
  std::fill(first, first + static_cast<ptrdiff_t>(shape_.rows), Lanes{});
  return cell;
}

int32_t Bands::new_band() {
  if (spare_bands_.empty()) {
    bands_.emplace_back();
    tops_.resize(bands_.size() * shape_.rows);
    return static_cast<int32_t>(bands_.size() - 1);
  }
  const int32_t band = spare_bands_.back();
  spare_bands_.pop_back();
  return band;
}

// The tightest cell that need not grow for it, else the one that grows least.
int Bands::choose_cell(int32_t band, const std::array<uint8_t, kRanksMax>& ranks) const {
  const uint64_t live = bands_[band].live;
  const uint64_t inside = kernel_.first(tables(tops_, &band), 0, 1, ranks.data()).mask;
  const Lanes* tops = &tops_[static_cast<size_t>(band) * shape_.rows];
  uint64_t places = inside ? inside : live;
  int best = -1, best_cost = 0;
  for (int place; next(places, place);) {
    int cost = 0;
    for (size_t row = 0; row < shape_.rows; ++row) {
      const int above = tops[row].byte[place] - ranks[row];
      cost += inside ? above : std::max(0, -above);
    }
    if (best < 0 || cost < best_cost) {
      best = place;
      best_cost = cost;
    }
  }
  return best;
}

// The cell has room.
void Bands::put(int32_t band_number, int place, const Entry& entry) {
  Band& band = bands_[band_number];
  const int32_t number = band.cell[place];
  Cell& cell = cells_[number];
  const int lane = std::countr_one(cell.live);
  cell.live |= uint64_t{1} << lane;
  cell.group[lane] = entry.group;
  cell.rough[lane] = rough(entry.key);
  cell.key[lane] = entry.key;
  if (where_.size() <= static_cast<size_t>(entry.group)) where_.resize(static_cast<size_t>(entry.group) + 1);
  where_[entry.group] = {number, lane};
  Lanes* ranks = &ranks_[static_cast<size_t>(number) * shape_.rows];
  Lanes* tops = &tops_[static_cast<size_t>(band_number) * shape_.rows];
  for (size_t row = 0; row < shape_.rows; ++row) {
    const uint8_t rank = rank_at(entry.ranks, row);
    ranks[row].byte[lane] = rank;
    tops[row].byte[place] = std::max(tops[row].byte[place], rank);
  }
  if (entry.key < band.least[place]) band.least[place] = entry.key;
  ++band.count;
}

void Bands::gather_cell(int32_t number, std::vector<Entry>& into) const {
  const Cell& cell = cells_[number];
  const Lanes* table = ranks_.data() + static_cast<size_t>(number) * shape_.rows;
  uint64_t lanes = cell.live;
  for (int lane; next(lanes, lane);) {
    uint64_t ranks = 0;
    for (size_t row = 0; row < shape_.rows; ++row) ranks |= static_cast<uint64_t>(table[row].byte[lane]) << (8 * row);
    into.push_back({cell.key[lane], ranks, cell.group[lane]});
  }
}

void Bands::gather_band(int32_t band, std::vector<Entry>& into) const {
  uint64_t places = bands_[band].live;
  for (int place; next(places, place);) gather_cell(bands_[band].cell[place], into);
}

void Bands::drop_cell(int32_t band, int place) {
  spare_cells_.push_back(bands_[band].cell[place]);
  bands_[band].live &= ~(uint64_t{1} << place);
  Lanes* tops = &tops_[static_cast<size_t>(band) * shape_.rows];
  for (size_t row = 0; row < shape_.rows; ++row) tops[row].byte[place] = 0;
}

void Bands::clear_band(int32_t number) {
  Band& band = bands_[number];
  uint64_t places = band.live;
  for (int place; next(places, place);) drop_cell(number, place);
  band.count = 0;
}

void Bands::fill_band(int32_t band, std::span<Entry> entries) {
  fill_cells(band, entries, (entries.size() + shape_.fill - 1) / shape_.fill);
}

// Cuts where it is best, else at the middle, until a cell holds the rest.
void Bands::fill_cells(int32_t band, std::span<Entry> entries, size_t cells) {
  if (cells > 1) {
    const Cut cut = best_cut(entries, cells);
    const size_t low = cut.cells > 0 ? cut.cells : cells / 2;
    size_t middle = entries.size() * low / cells;
    if (cut.cells > 0) {
      const auto at = std::partition(entries.begin(), entries.end(),
                                     [&](const Entry& entry) { return bytes_of(entry.ranks)[cut.row] < cut.bound; });
      middle = static_cast<size_t>(at - entries.begin());
    }
    fill_cells(band, entries.first(middle), low);
    fill_cells(band, entries.subspan(middle), cells - low);
    return;
  }
  const int place = std::countr_one(bands_[band].live);
  const int32_t cell = new_cell();
  bands_[band].cell[place] = cell;
  cells_[cell].band = band;
  cells_[cell].place = place;
  bands_[band].least[place] = kKeyMost;
  bands_[band].live |= uint64_t{1} << place;
  for (const Entry& entry : entries) put(band, place, entry);
}

// Where the two parts' cells are looked into least: ranks are spread as tasks are, so a task finds a row of a cell
// large enough about as often as its top is high, and all rows as often as the product says.
Bands::Cut Bands::best_cut(std::span<const Entry> entries, size_t cells) const {
  using Tops = std::array<uint8_t, kRanksMax>;
  const auto raise = [](Tops& tops, const Tops& by) {
    for (size_t row = 0; row < kRanksMax; ++row) tops[row] = std::max(tops[row], by[row]);
  };
  const auto looks = [&](const Tops& tops) {
    double product = 1;
    for (size_t row = 0; row < shape_.rows; ++row) product *= tops[row];
    return product;
  };
  Cut best;
  double least = 0;
  for (size_t row = 0; row < shape_.rows; ++row) {
    std::array<uint32_t, 256> count{};
    std::array<Tops, 256> tops{};
    for (const Entry& entry : entries) {
      const Tops ranks = bytes_of(entry.ranks);
      ++count[ranks[row]];
      raise(tops[ranks[row]], ranks);
    }
    std::array<double, 257> above;
    Tops high{};
    for (size_t bound = 256; bound-- > 0;) {
      raise(high, tops[bound]);
      above[bound] = looks(high);
    }
    Tops low{};
    size_t below = 0;
    for (size_t bound = 1; bound < 256; ++bound) {
      below += count[bound - 1];
      if (count[bound - 1] == 0) continue;
      raise(low, tops[bound - 1]);
      const size_t part = cells_of(below, entries.size(), cells);
      if (part == 0) continue;
      const double sum = static_cast<double>(part) * looks(low) + static_cast<double>(cells - part) * above[bound];
      if (best.cells > 0 && sum >= least) continue;
      best = {row, bound, part};
      least = sum;
    }
  }
  return best;
}

// How many of the cells so many of the entries get; 0 where it would leave a part too small or too full.
size_t Bands::cells_of(size_t part, size_t all, size_t cells) const {
  const size_t mine = (part * cells + all / 2) / all;
  const size_t room = (shape_.fill + kLanes) / 2;
  const bool fits = mine > 0 && mine < cells && part <= mine * room && all - part <= (cells - mine) * room;
  return fits ? mine : 0;
}

void Bands::split_cell(int32_t band, int place) {
  std::vector<Entry> entries;
  entries.reserve(kLanes);
  gather_cell(bands_[band].cell[place], entries);
  drop_cell(band, place);
  bands_[band].count -= entries.size();
  fill_cells(band, entries, 2);
}

void Bands::split_band(size_t position, const Entry& extra) {
  const int32_t band = order_[position];
  std::vector<Entry> entries;
  entries.reserve(bands_[band].count + 1);
  gather_band(band, entries);
  entries.push_back(extra);
  const size_t middle = entries.size() / 2;
  std::nth_element(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(middle), entries.end(), by_key);
  clear_band(band);
  const int32_t above = new_band();
  order_.insert(order_.begin() + static_cast<ptrdiff_t>(position) + 1, above);
  low_.insert(low_.begin() + static_cast<ptrdiff_t>(position) + 1, entries[middle].key);
  fill_band(band, std::span(entries).first(middle));
  fill_band(above, std::span(entries).subspan(middle));
}

void Bands::remove_band(size_t position) {
  clear_band(order_[position]);
  spare_bands_.push_back(order_[position]);
  order_.erase(order_.begin() + static_cast<ptrdiff_t>(position));
  low_.erase(low_.begin() + static_cast<ptrdiff_t>(position));
}

void Bands::prefetch_ranks(int32_t cell) const {
  for (size_t row = 0; row < shape_.rows; ++row) {
    __builtin_prefetch(&ranks_[static_cast<size_t>(cell) * shape_.rows + row]);
  }
}

void Bands::prefetch_cell(int32_t group) const {
  const int32_t cell = where_[group].cell;
  __builtin_prefetch(&cells_[cell]);
  prefetch_ranks(cell);
}

void Bands::find_band(const Key& key, Hint& hint) const {
  hint = {};
  if (order_.empty()) return;
  hint.position = position_of(key);
  const int32_t band = order_[hint.position];
  __builtin_prefetch(&bands_[band]);
  for (size_t row = 0; row < shape_.rows; ++row) {
    __builtin_prefetch(&tops_[static_cast<size_t>(band) * shape_.rows + row]);
  }
}

void Bands::find_cell(const Key& key, uint64_t ranks, Hint& hint) const {
  if (!lies_in(key, hint.position)) return;
  const int32_t band = order_[hint.position];
  hint.place = choose_cell(band, bytes_of(ranks));
  const int32_t number = bands_[band].cell[hint.place];
  const Cell& cell = cells_[number];
  __builtin_prefetch(&cell);
  for (size_t lane = 0; lane < kLanes; lane += 16) __builtin_prefetch(&cell.rough[lane]);
  prefetch_ranks(number);
}

// Of equal low keys several bands may be the one.
size_t Bands::position_of_band(int32_t band, const Key& key) const {
  size_t position = first_band(key);
  while (order_[position] != band) ++position;
  return position;
}

void Bands::erase(const Slot& slot) {
  const auto position = static_cast<size_t>(slot.position);
  remove(order_[position], slot.place, slot.lane);
  care_for(position);
}

void Bands::erase(int32_t group, const Key& key) {
  const Where at = where_[group];
  const int32_t band = cells_[at.cell].band;
  remove(band, cells_[at.cell].place, at.lane);
  if (needs_care(band)) care_for(position_of_band(band, key));
}

void Bands::remove(int32_t number, int place, int lane) {
  Band& band = bands_[number];
  Cell& cell = cells_[band.cell[place]];
  cell.live &= ~(uint64_t{1} << lane);
  --band.count;
  if (cell.live == 0) {
    drop_cell(number, place);
  } else {
    lower_tops(number, place, lane);
  }
}

void Bands::care_for(size_t position) {
  if (bands_[order_[position]].count == 0) {
    remove_band(position);
  } else {
    tidy(position);
  }
}

// What a cell can hold falls with the entry that held the most of it.
void Bands::lower_tops(int32_t band, int place, int lane) {
  Lanes* ranks = &ranks_[static_cast<size_t>(bands_[band].cell[place]) * shape_.rows];
  Lanes* tops = &tops_[static_cast<size_t>(band) * shape_.rows];
  for (size_t row = 0; row < shape_.rows; ++row) {
    uint8_t& rank = ranks[row].byte[lane];
    const bool held_most = rank == tops[row].byte[place];
    rank = 0;
    if (!held_most) continue;
    uint8_t most = 0;
    for (const uint8_t other : ranks[row].byte) most = std::max(most, other);
    tops[row].byte[place] = most;
  }
}

bool Bands::is_sparse(const Band& band) const {
  const auto cells = static_cast<size_t>(std::popcount(band.live));
  return cells > 1 && band.count * 2 < cells * shape_.fill;
}

// Few entries for its cells, or for a band.
bool Bands::needs_care(int32_t number) const {
  const Band& band = bands_[number];
  const auto cells = static_cast<size_t>(std::popcount(band.live));
  return band.count == 0 || is_sparse(band) || (cells == 1 && band.count == shape_.fill / 4);
}

// Packs a band anew once half of its cells' room is empty, together with the next one where both make less than half.
void Bands::tidy(size_t position) {
  const Band& band = bands_[order_[position]];
  if (!needs_care(order_[position])) return;
  const bool join =
      position + 1 < order_.size() && band.count + bands_[order_[position + 1]].count <= capacity() * 3 / 4;
  if (!is_sparse(band) && !join) return;
  std::vector<Entry> entries;
  gather_band(order_[position], entries);
  if (join) {
    gather_band(order_[position + 1], entries);
    remove_band(position + 1);
  }
  clear_band(order_[position]);
  fill_band(order_[position], entries);
}

}  // namespace windlass::match
