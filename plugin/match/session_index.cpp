#include "plugin/match/session_index.hpp"

#include <algorithm>
#include <functional>

namespace windlass::match {
namespace {

// Both modes put offers back, so cells keep room.
Bands::Shape shape_of(const Problem& problem, const Ranks& ranks) {
  Bands::Shape shape{};
  shape.rows = ranks.rows();
  shape.cells = problem.mode == Mode::packing ? 16 : 4;
  shape.fill = 48;
  return shape;
}

// Sums and limits are each within 2^126 + 2^64, so only their sum may leave the range.
Wide added(Wide sum, Wide limit) {
  if (limit > 0 && sum > kWideMax - limit) return kWideMax;
  if (limit < 0 && sum < -kWideMax - limit) return -kWideMax;
  return sum + limit;
}

}  // namespace

SessionIndex::SessionIndex(const SessionState& state, const Problem& problem)
    : state_(state),
      policy_(problem.policy),
      packing_(problem.mode == Mode::packing),
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
  for (size_t d = 0; d < dimensions_; ++d) {
    now_[d] = state_.free(d)[slot];
    key.sum += scoring_.weight[d] * now_[d];
  }
  if (policy_ == Policy::worst_fit) key.sum = -key.sum;
  const SessionState::Offer& offer = state_.offer(slot);
  if (policy_ == Policy::cost) key.price = packing_ && !offer.tasks.empty() ? 0 : offer.price;
  return key;
}

uint64_t SessionIndex::hash_of(const Key& key) const {
  uint64_t hash = static_cast<uint64_t>(key.price);
  for (size_t d = 0; d < dimensions_; ++d) {
    hash = (hash ^ static_cast<uint64_t>(now_[d])) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

int32_t SessionIndex::find(uint64_t hash, const Key& key) const {
  const auto first = by_hash_.find(hash);
  int32_t group = first == by_hash_.end() ? -1 : first->second;
  while (group >= 0 && !(groups_[group].key == key && std::equal(now_.begin(), now_.end(), amounts(group)))) {
    group = groups_[group].next;
  }
  return group;
}

bool SessionIndex::admitted(int32_t slot) const {
  return !max_price_ || state_.offer(slot).price <= *max_price_;
}

void SessionIndex::fill(const std::vector<bool>& offered) {
  group_of_.assign(state_.slots(), -1);
  by_hash_.reserve(state_.slots());
  std::vector<Entry> entries;
  for (size_t slot = 0; slot < offered.size(); ++slot) {
    if (offered[slot] && admitted(static_cast<int32_t>(slot))) join(static_cast<int32_t>(slot), &entries);
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  bands_.build(entries);
}

void SessionIndex::refresh(int32_t slot, bool offered) {
  if (group_of_.size() < state_.slots()) group_of_.resize(state_.slots(), -1);
  const int32_t group = group_of_[slot];
  const bool stays = offered && admitted(slot);
  if (group >= 0) {
    if (stays && groups_[group].key == key_of(slot) && std::equal(now_.begin(), now_.end(), amounts(group))) return;
    leave(slot);
  }
  if (stays) join(slot, nullptr);
}

// `entries`: where a new group is listed, to be built in later; null: it goes in at once.
void SessionIndex::join(int32_t slot, std::vector<Entry>* entries) {
  const Key key = key_of(slot);
  const uint64_t hash = hash_of(key);
  int32_t number = find(hash, key);
  if (number < 0) {
    if (spare_.empty()) {
      spare_.push_back(static_cast<int32_t>(groups_.size()));
      groups_.emplace_back();
      amounts_.resize(amounts_.size() + dimensions_);
    }
    number = spare_.back();
    spare_.pop_back();
    std::copy(now_.begin(), now_.end(), amounts_.begin() + static_cast<ptrdiff_t>(number * dimensions_));
    Group& group = groups_[number];
    group.key = key;
    group.hash = hash;
    group.ranks = ranks_.of(now_.data());
    const auto [first, fresh] = by_hash_.try_emplace(hash, number);
    group.next = fresh ? -1 : first->second;
    first->second = number;
    group.heap.assign(1, slot);
    const Entry entry{key, group.ranks, number};
    if (entries) {
      entries->push_back(entry);
    } else {
      bands_.insert(entry, [](int32_t) { return false; });
    }
  } else {
    Group& group = groups_[number];
    group.heap.push_back(slot);
    std::push_heap(group.heap.begin(), group.heap.end(), std::greater<>{});
  }
  ++groups_[number].live;
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
  while (left(group.heap.front())) {
    std::pop_heap(group.heap.begin(), group.heap.end(), std::greater<>{});
    group.heap.pop_back();
  }
  if (group.heap.size() < 2 * static_cast<size_t>(group.live) + 16) return;
  std::erase_if(group.heap, left);
  std::sort(group.heap.begin(), group.heap.end());
  group.heap.erase(std::unique(group.heap.begin(), group.heap.end()), group.heap.end());
}

void SessionIndex::end(int32_t number) {
  const Group& group = groups_[number];
  const auto only = [&](int32_t other) { return other == number ? Wide{0} : Wide{-1}; };
  bands_.erase(bands_.best(group.ranks, group.key, group.key, only, [](int32_t) { return 0; }));
  const auto first = by_hash_.find(group.hash);
  int32_t* link = &first->second;
  while (*link != number) link = &groups_[*link].next;
  *link = group.next;
  if (first->second < 0) by_hash_.erase(first);
  spare_.push_back(number);
}

SessionIndex::Found SessionIndex::best(const int64_t* wanted) {
  if (failures_->covers(wanted)) return {};
  Wide sum = 0;
  for (size_t d = 0; d < dimensions_; ++d) sum += scoring_.weight[d] * wanted[d];
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
    return enough ? Wide{0} : Wide{-1};
  };
  const auto tie = [&](int32_t group) { return groups_[group].heap.front(); };
  const auto slot = bands_.best(ranks_.of(wanted), from, to, admit, tie);
  if (slot.group < 0) {
    if (!scoring_.limited) failures_->add(wanted);
    return {};
  }
  const Wide score = policy_ == Policy::worst_fit ? slot.total.sum + sum : slot.total.sum - sum;
  return {tie(slot.group), policy_ == Policy::cost ? slot.key.price : 0, score};
}

}  // namespace windlass::match
