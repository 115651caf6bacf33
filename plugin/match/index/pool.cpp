#include "plugin/match/index/pool.hpp"

#include <algorithm>
#include <numeric>

#include "plugin/match/index/sorted_offers.hpp"

namespace windlass::match {
namespace {

std::vector<int32_t> numbers(size_t count) {
  std::vector<int32_t> made(count);
  std::iota(made.begin(), made.end(), 0);
  return made;
}

constexpr size_t kFill = 44;  // of a cell's 64 places at first, for offers come back

}  // namespace

Pool::Pool(const Problem& problem, const Scoring& scoring, const Ranks& ranks, const Kernel& kernel)
    : ranks_(ranks),
      dimensions_(problem.dimensions),
      packing_(problem.mode == Mode::packing),
      swap_remove_(problem.ties == Ties::swap_remove),
      descending_(problem.policy == Policy::worst_fit),
      alone_(problem.constraints || (!packing_ && !swap_remove_)),
      tie_(numbers(problem.offers)),
      heaps_(problem.offers, tie_),
      group_of_(problem.offers, -1),
      left_(problem.dimensions),
      table_(ranks.rows(), kernel),
      bands_({.rows = ranks.rows(), .cells = kLanes, .fill = kFill, .priced = problem.policy == Policy::cost}, kernel) {
  if (swap_remove_) list_ = tie_;
  const SortedOffers sorted = sort_offers(problem, scoring, !alone_);
  const size_t offers = sorted.offers.size();
  std::vector<Entry> entries;
  entries.reserve(offers);
  root_.reserve(offers);
  amounts_.reserve(offers * dimensions_);
  for (const int32_t offer : sorted.offers) {
    const bool fresh = alone_ || entries.empty() || !(entries.back().key == sorted.key[offer]) ||
                       !same_amounts(problem, root_.back(), offer);
    if (fresh) {
      for (size_t d = 0; d < dimensions_; ++d) amounts_.push_back(problem.offer_amount(offer, d));
      root_.push_back(TieHeaps::kNone);
      const auto group = static_cast<int32_t>(root_.size() - 1);
      entries.push_back({sorted.key[offer], ranks_.of(group_amounts(group)), group});
    }
    group_of_[offer] = entries.back().group;
    root_.back() = heaps_.push(root_.back(), offer);
  }
  if (packing_) {
    bands_.build(entries);
  } else {
    table_.build(entries, [&](int32_t group) { return tie_[root_[group]]; });
  }
}

Slot Pool::best(const Search& search) const {
  const auto admit = [&](int32_t group) { return holds(group, search.wanted) ? Wide{0} : Wide{-1}; };
  const auto tie = [&](int32_t group) { return tie_[root_[group]]; };
  if (packing_) return bands_.best(search.ranks, search.from, search.to, admit, tie);
  if (alone_ && !swap_remove_) return table_.first(search.ranks, search.from, search.to, admit);
  return table_.best(search.ranks, search.from, search.to, admit, tie);
}

Slot Pool::best(const Search& search, int32_t task, Rules& rules) const {
  const std::span<const int64_t> wanted(search.wanted, dimensions_);
  const auto admit = [&](int32_t group) {
    const int32_t offer = root_[group];
    if (!holds(group, search.wanted) || !rules.admits(task, offer, wanted)) return Wide{-1};
    return rules.penalty(task, offer);
  };
  const auto tie = [&](int32_t group) { return tie_[root_[group]]; };
  if (packing_) return bands_.best(search.ranks, search.from, search.to, admit, tie);
  return table_.best(search.ranks, search.from, search.to, admit, tie);
}

Key Pool::take(const Slot& slot, const int64_t* wanted, Wide wanted_sum) {
  const int32_t group = slot.group;
  const int32_t offer = root_[group];
  Key key = slot.key;
  if (packing_) {
    key.price = 0;  // nothing is added for an offer in use
    key.sum += descending_ ? wanted_sum : -wanted_sum;
    for (size_t d = 0; d < dimensions_; ++d) left_[d] = group_amounts(group)[d] - wanted[d];
  }
  root_[group] = heaps_.pop(offer);
  if (root_[group] == TieHeaps::kNone) {
    if (packing_) {
      bands_.erase(slot);
      spare_.push_back(group);
    } else {
      table_.erase(slot);
    }
  }
  if (swap_remove_) fill_hole(offer, slot);
  if (packing_) put_back(offer, key, left_);
  return key;
}

// Each offer is a group of its own here.
void Pool::undo(const Slot& slot, int32_t offer, const Key& after, const int64_t* wanted) {
  const int32_t group = group_of_[offer];
  if (packing_) {
    std::copy(group_amounts(group), group_amounts(group) + dimensions_, left_.begin());
    bands_.erase(group, after);
    spare_.push_back(group);
    for (size_t d = 0; d < dimensions_; ++d) left_[d] += wanted[d];
    put_back(offer, slot.key, left_);
    return;
  }
  table_.revive(slot, ranks_.of(group_amounts(group)));
  root_[group] = heaps_.push(TieHeaps::kNone, offer);
  if (!swap_remove_) return;
  const int32_t hole = tie_[offer];
  const auto end = static_cast<int32_t>(list_.size());
  list_.push_back(offer);
  if (hole != end) {
    std::swap(list_[hole], list_[end]);
    tie_[list_[end]] = end;
  }
  table_.lower_tie(group, hole);
}

// The last of the list takes the place of a used offer.
void Pool::fill_hole(int32_t offer, const Slot& slot) {
  table_.raise_tie(slot, [&](int32_t group) { return tie_[root_[group]]; });
  const int32_t hole = tie_[offer];
  const int32_t last = list_.back();
  list_.pop_back();
  if (last == offer) return;
  list_[hole] = last;
  tie_[last] = hole;
  const int32_t group = group_of_[last];
  if (group < 0) return;
  root_[group] = heaps_.sunk(root_[group], last);
  table_.lower_tie(group, hole);
}

void Pool::put_back(int32_t offer, const Key& key, std::vector<int64_t>& amounts) {
  const auto same = [&](int32_t group) {
    return !alone_ && std::equal(amounts.begin(), amounts.end(), group_amounts(group));
  };
  if (spare_.empty()) {
    spare_.push_back(static_cast<int32_t>(root_.size()));
    root_.push_back(TieHeaps::kNone);
    amounts_.resize(amounts_.size() + dimensions_);
  }
  int32_t group = bands_.insert({key, ranks_.of(amounts.data()), spare_.back()}, same, {});
  if (group < 0) {
    group = spare_.back();
    spare_.pop_back();
    std::copy(amounts.begin(), amounts.end(), amounts_.begin() + static_cast<ptrdiff_t>(group * dimensions_));
    root_[group] = TieHeaps::kNone;
  }
  group_of_[offer] = group;
  root_[group] = heaps_.push(root_[group], offer);
}

}  // namespace windlass::match
