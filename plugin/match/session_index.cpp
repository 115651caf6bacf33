#include "plugin/match/session_index.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <tuple>

namespace windlass::match {
namespace {

// Both modes put offers back, so cells keep room.
Bands::Shape shape_of(const Problem& problem, const Ranks& ranks) {
  Bands::Shape shape{};
  shape.rows = ranks.rows();
  shape.cells = problem.mode == Mode::packing ? 16 : 4;
  shape.fill = 48;
  shape.priced = problem.policy == Policy::cost;
  return shape;
}

}  // namespace

SessionIndex::SessionIndex(const SessionState& state, const Problem& problem, bool by_labels)
    : state_(state),
      policy_(problem.policy),
      packing_(problem.mode == Mode::packing),
      by_labels_(by_labels),
      max_price_(problem.max_price),
      dimensions_(problem.dimensions),
      sampled_(problem.tasks),
      scoring_(scoring_of(problem)),
      ranks_(problem),
      bands_(shape_of(problem, ranks_), kernel()),
      now_(problem.dimensions) {}

// Reads the slot into `now_`.
Key SessionIndex::key_of(int32_t slot) {
  Key key;
  const int64_t* free = state_.free(slot);
  for (size_t d = 0; d < dimensions_; ++d) {
    now_[d] = free[d];
    key.sum += scoring_.weight[d] * now_[d];
  }
  if (policy_ == Policy::worst_fit) key.sum = -key.sum;
  const SessionState::Offer& offer = state_.offer(slot);
  if (policy_ == Policy::cost) key.price = packing_ && offer.held > 0 ? 0 : offer.price;
  return key;
}

bool SessionIndex::admitted(int32_t slot) const {
  return !max_price_ || state_.offer(slot).price <= *max_price_;
}

void SessionIndex::fill(const std::vector<bool>& offered) {
  group_of_.assign(state_.slots(), -1);
  std::vector<int32_t> slots;
  std::vector<Key> keys(state_.slots());
  for (size_t slot = 0; slot < offered.size(); ++slot) {
    const auto number = static_cast<int32_t>(slot);
    if (!offered[slot] || !admitted(number)) continue;
    slots.push_back(number);
    keys[slot] = key_of(number);
  }
  std::sort(slots.begin(), slots.end(), [&](int32_t a, int32_t b) { return before(keys, a, b); });
  std::vector<Entry> entries;
  for (const int32_t slot : slots) {
    const Key key = key_of(slot);
    const bool known = !entries.empty() && entries.back().key == key && equals(entries.back().group, slot);
    if (!known) {
      const int32_t group = make_group(key, slot);
      entries.push_back({key, groups_[group].ranks, group});
    }
    put(entries.back().group, slot);
  }
  bands_.build(entries);
}

// Whether a group is of offers as this one, whose amounts `now_` has.
bool SessionIndex::equals(int32_t group, int32_t slot) const {
  const SessionState::Offer& offer = state_.offer(slot);
  const Group& own = groups_[group];
  return std::equal(now_.begin(), now_.end(), amounts(group)) &&
         (!by_labels_ || (own.labels == offer.labels && own.only == offer.only));
}

// By key, then amounts, then labels, then slot.
bool SessionIndex::before(const std::vector<Key>& keys, int32_t a, int32_t b) const {
  if (!(keys[a] == keys[b])) return keys[a] < keys[b];
  const int64_t *own = state_.free(a), *other = state_.free(b);
  for (size_t d = 0; d < dimensions_; ++d) {
    if (own[d] != other[d]) return own[d] < other[d];
  }
  if (!by_labels_) return a < b;
  const SessionState::Offer &x = state_.offer(a), &y = state_.offer(b);
  return std::tie(x.labels, x.only, a) < std::tie(y.labels, y.only, b);
}

// What a refresh looks at lies scattered, so it is fetched while those before are at work: first where the slot is
// known, then where it is and where it will be.
void SessionIndex::refresh(std::span<const int32_t> slots, const std::vector<bool>& offered) {
  constexpr size_t kStep = 4;
  struct Next {
    Key key;
    uint64_t ranks;
  };
  std::array<Next, 2 * kStep> next;
  const auto group_at = [&](size_t at) {
    const auto slot = at < slots.size() ? static_cast<size_t>(slots[at]) : group_of_.size();
    return slot < group_of_.size() ? group_of_[slot] : -1;
  };
  const auto joins = [&](size_t at) { return at < slots.size() && offered[at] && admitted(slots[at]); };
  const auto look_ahead = [&](size_t at) {
    if (at + 4 * kStep < slots.size() && static_cast<size_t>(slots[at + 4 * kStep]) < group_of_.size()) {
      __builtin_prefetch(&group_of_[slots[at + 4 * kStep]]);
    }
    if (at + 3 * kStep < slots.size()) state_.prefetch(slots[at + 3 * kStep]);
    if (const int32_t group = group_at(at + 3 * kStep); group >= 0) {
      __builtin_prefetch(&groups_[group]);
      __builtin_prefetch(amounts(group));
      bands_.prefetch(group);
    }
    if (const int32_t group = group_at(at + 2 * kStep); group >= 0) bands_.prefetch_cell(group);
    if (joins(at + 2 * kStep)) {
      Next& own = next[(at + 2 * kStep) % next.size()];
      own.key = key_of(slots[at + 2 * kStep]);
      own.ranks = ranks_.of(now_.data());
      bands_.prefetch_band(own.key);
    }
    if (at >= kStep && joins(at + kStep)) {
      const Next& own = next[(at + kStep) % next.size()];
      bands_.prefetch_choice(own.key, own.ranks);
    }
  };
  for (size_t at = 0; at < slots.size(); ++at) {
    look_ahead(at);
    refresh(slots[at], offered[at]);
  }
}

void SessionIndex::refresh(int32_t slot, bool offered) {
  if (group_of_.size() < state_.slots()) group_of_.resize(state_.slots(), -1);
  const int32_t group = group_of_[slot];
  const bool stays = offered && admitted(slot);
  const Key key = stays ? key_of(slot) : Key{};
  if (group >= 0) {
    if (stays && groups_[group].key == key && equals(group, slot)) return;
    leave(slot);
  }
  if (stays) join(slot, key);
}

int32_t SessionIndex::make_group(const Key& key, int32_t slot) {
  if (spare_.empty()) {
    spare_.push_back(static_cast<int32_t>(groups_.size()));
    groups_.emplace_back();
    amounts_.resize(amounts_.size() + dimensions_);
  }
  const int32_t number = spare_.back();
  spare_.pop_back();
  std::copy(now_.begin(), now_.end(), amounts_.begin() + static_cast<ptrdiff_t>(number * dimensions_));
  Group& group = groups_[number];
  group.key = key;
  group.ranks = ranks_.of(now_.data());
  group.labels = by_labels_ ? state_.offer(slot).labels : -1;
  group.only = by_labels_ ? state_.offer(slot).only : -1;
  group.live = 0;
  group.more.clear();
  return number;
}

// Into a group of equal amounts where the bands meet one; equal groups that they miss lie side by side.
// `now_` has what the slot has.
void SessionIndex::join(int32_t slot, const Key& key) {
  const int32_t fresh = make_group(key, slot);
  const auto same = [&](int32_t group) { return equals(group, slot); };
  int32_t number = bands_.insert({key, groups_[fresh].ranks, fresh}, same);
  if (number < 0) {
    number = fresh;
  } else {
    spare_.push_back(fresh);
  }
  put(number, slot);
}

void SessionIndex::put(int32_t number, int32_t slot) {
  Group& group = groups_[number];
  if (group.live++ == 0) {
    group.first = slot;
  } else {
    group.more.push_back(std::max(slot, group.first));
    std::push_heap(group.more.begin(), group.more.end(), std::greater<>{});
    group.first = std::min(slot, group.first);
  }
  group_of_[slot] = number;
}

void SessionIndex::leave(int32_t slot) {
  const int32_t number = group_of_[slot];
  group_of_[slot] = -1;
  if (--groups_[number].live == 0) {
    end(number);
  } else {
    tidy(number);
  }
}

// Slots that have left don't stay first, nor become the most.
void SessionIndex::tidy(int32_t number) {
  Group& group = groups_[number];
  const auto left = [&](int32_t slot) { return group_of_[slot] != number; };
  while (left(group.first)) {
    std::pop_heap(group.more.begin(), group.more.end(), std::greater<>{});
    group.first = group.more.back();
    group.more.pop_back();
  }
  if (group.more.size() < 2 * static_cast<size_t>(group.live) + 16) return;
  std::erase_if(group.more, [&](int32_t slot) { return left(slot) || slot == group.first; });
  std::sort(group.more.begin(), group.more.end());
  group.more.erase(std::unique(group.more.begin(), group.more.end()), group.more.end());
}

void SessionIndex::end(int32_t number) {
  bands_.erase(bands_.slot_of(number, groups_[number].key));
  spare_.push_back(number);
}

Failures& SessionIndex::failures_of(SessionLabels* labels) {
  const SessionLabels::Alike alike = labels ? labels->alike() : SessionLabels::Alike{-1, -1};
  return failures_.try_emplace(alike, dimensions_).first->second;
}

SessionIndex::Found SessionIndex::best(const int64_t* wanted, SessionLabels* labels) {
  Failures& failures = failures_of(labels);
  if (failures.covers(wanted)) return {};
  Wide sum = 0;
  for (size_t d = 0; d < dimensions_; ++d) {
    Wide part = 0;
    // Offers stay within bounds (scoring.hpp), so none has as much as what leaves them.
    if (__builtin_mul_overflow(scoring_.weight[d], wanted[d], &part) || __builtin_add_overflow(sum, part, &sum))
      return {};
  }
  Key from = kKeyLeast, to = kKeyMost;
  if (policy_ == Policy::best_fit) {
    from = {0, sum};
    if (scoring_.limited) to = {0, added(sum, scoring_.limit)};
  } else if (policy_ == Policy::worst_fit) {
    to = {0, scoring_.limited ? std::min(-sum, added(-sum, scoring_.limit)) : -sum};
  }
  const auto admit = [&](int32_t group) {
    const int64_t* has = amounts(group);
    bool enough = true;
    for (size_t d = 0; d < dimensions_; ++d) enough &= wanted[d] <= has[d];
    if (enough && labels) enough = labels->admits(groups_[group].labels, groups_[group].only);
    return enough ? Wide{0} : Wide{-1};
  };
  const auto tie = [&](int32_t group) { return groups_[group].first; };
  const auto slot = bands_.best(ranks_.of(wanted), from, to, admit, tie);
  if (slot.group < 0) {
    if (!scoring_.limited) failures.add(wanted);
    return {};
  }
  const Wide score = policy_ == Policy::worst_fit ? slot.total.sum + sum : slot.total.sum - sum;
  return {tie(slot.group), policy_ == Policy::cost ? slot.key.price : 0, score};
}

}  // namespace windlass::match
