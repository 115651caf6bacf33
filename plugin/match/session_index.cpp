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
      bands_(shape_of(problem, ranks_), kernel()) {}

Key SessionIndex::key_of(int32_t slot) const {
  Key key;
  const int64_t* free = state_.free(slot);
  for (size_t d = 0; d < dimensions_; ++d) key.sum += scoring_.weight[d] * free[d];
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
    const bool known = !entries.empty() && entries.back().key == keys[slot] && equals(entries.back().group, slot);
    if (!known) {
      const Step step = step_of(slot, true);
      entries.push_back({step.key, step.ranks, make_group(step)});
    }
    put(entries.back().group, slot);
  }
  bands_.build(entries);
}

// Whether a group is of offers as this one.
bool SessionIndex::equals(int32_t group, int32_t slot) const {
  const SessionState::Offer& offer = state_.offer(slot);
  const Group& own = groups_[group];
  return std::equal(amounts(group), amounts(group) + dimensions_, state_.free(slot)) &&
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
  if (group_of_.size() < state_.slots()) group_of_.resize(state_.slots(), -1);
  std::array<Step, 4 * kStep> steps;
  const auto look_ahead = [&](size_t at) {
    if (const size_t far = at + 4 * kStep; far < slots.size()) {
      __builtin_prefetch(&group_of_[slots[far]]);
      state_.prefetch(slots[far]);
    }
    if (const size_t next = at + 3 * kStep; next < slots.size()) {
      Step& step = steps[next % steps.size()] = step_of(slots[next], offered[next]);
      if (step.joins) bands_.find_band(step.key, step.hint);
      if (const int32_t group = group_of_[step.slot]; group >= 0) {
        __builtin_prefetch(&groups_[group]);
        __builtin_prefetch(amounts(group));
        bands_.prefetch(group);
      }
    }
    if (const size_t near = at + kStep; at >= 2 * kStep && near < slots.size()) {
      Step& step = steps[near % steps.size()];
      if (step.joins) bands_.find_cell(step.key, step.ranks, step.hint);
      if (const int32_t group = group_of_[step.slot]; group >= 0) bands_.prefetch_cell(group);
    }
  };
  for (size_t at = 0; at < slots.size(); ++at) {
    look_ahead(at);
    take(at >= 3 * kStep ? steps[at % steps.size()] : step_of(slots[at], offered[at]));
  }
}

void SessionIndex::refresh(int32_t slot, bool offered) {
  if (group_of_.size() < state_.slots()) group_of_.resize(state_.slots(), -1);
  take(step_of(slot, offered));
}

SessionIndex::Step SessionIndex::step_of(int32_t slot, bool offered) const {
  Step step{.slot = slot, .joins = offered && admitted(slot)};
  if (!step.joins) return step;
  step.key = key_of(slot);
  step.ranks = ranks_.of(state_.free(slot));
  return step;
}

void SessionIndex::take(const Step& step) {
  if (const int32_t group = group_of_[step.slot]; group >= 0) {
    if (step.joins && groups_[group].key == step.key && equals(group, step.slot)) return;
    leave(step.slot);
  }
  if (step.joins) join(step);
}

int32_t SessionIndex::make_group(const Step& step) {
  if (spare_.empty()) {
    spare_.push_back(static_cast<int32_t>(groups_.size()));
    groups_.emplace_back();
    amounts_.resize(amounts_.size() + dimensions_);
  }
  const int32_t number = spare_.back();
  spare_.pop_back();
  std::copy_n(state_.free(step.slot), dimensions_, amounts_.begin() + static_cast<ptrdiff_t>(number * dimensions_));
  Group& group = groups_[number];
  group.key = step.key;
  group.labels = by_labels_ ? state_.offer(step.slot).labels : -1;
  group.only = by_labels_ ? state_.offer(step.slot).only : -1;
  group.live = 0;
  group.more.clear();
  return number;
}

// Into a group of equal amounts where the bands meet one; equal groups that they miss lie side by side.
void SessionIndex::join(const Step& step) {
  const int32_t fresh = make_group(step);
  const auto same = [&](int32_t group) { return equals(group, step.slot); };
  int32_t number = bands_.insert({step.key, step.ranks, fresh}, same, step.hint);
  if (number < 0) {
    number = fresh;
  } else {
    spare_.push_back(fresh);
  }
  put(number, step.slot);
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
  bands_.erase(number, groups_[number].key);
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
