#include "plugin/match/session_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "plugin/match/amounts.hpp"

namespace windlass::match {
namespace {

SessionState::Kind* kind_of(SessionState::Offer& offer, int32_t dimension) {
  for (SessionState::Kind& kind : offer.kinds) {
    if (kind.dimension == dimension) return &kind;
  }
  return nullptr;
}

// So many rows of so many numbers, wider than they were; what is new is 0.
void widen(HugeVector<int64_t>& rows, size_t count, size_t parts, size_t before, size_t after) {
  HugeVector<int64_t> wide(count * parts * after, 0);
  for (size_t part = 0; part < count * parts; ++part) {
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(part * before), before,
                wide.begin() + static_cast<ptrdiff_t>(part * after));
  }
  rows = std::move(wide);
}

}  // namespace

void SessionState::grow(size_t dimensions) {
  if (dimensions <= dimensions_) return;
  widen(rows_, offers_.size(), 3, dimensions_, dimensions);
  widen(task_amounts_, tasks_.size(), 1, dimensions_, dimensions);
  dimensions_ = dimensions;
}

// What is free of one dimension; of a kind the sum of its devices' free shares.
void SessionState::refresh(int32_t slot, size_t d) {
  int64_t* own = row(slot);
  int64_t& free = own[2 * dimensions_ + d];
  if (const Kind* kind = kind_of(offers_[slot], static_cast<int32_t>(d))) {
    free = 0;
    for (size_t at = 0; at < kind->shares.size(); ++at) free += std::max<int64_t>(0, kind->shares[at] - kind->held[at]);
  } else {
    free = std::max<int64_t>(0, own[d] - own[dimensions_ + d]);
  }
}

void SessionState::drop_sets(int32_t labels, int32_t only, int32_t staged) {
  labels_.drop(labels);
  only_.drop(only);
  staged_.drop(staged);
}

// Tasks forget devices beyond the end of the offer's lists.
void SessionState::forget_devices(Offer& offer) {
  for (int32_t task = offer.first; task >= 0; task = tasks_[task].next) {
    std::erase_if(tasks_[task].devices, [&](const Device& device) {
      const Kind* kind = kind_of(offer, device.dimension);
      return !kind || static_cast<size_t>(device.index) >= kind->shares.size();
    });
  }
}

void SessionState::write_kinds(Offer& offer, const Record& record) {
  const auto& [rows, given, row] = record;
  if (offer.kinds.empty() && (!given || given->devices.empty())) return;
  std::vector<Kind> before = std::exchange(offer.kinds, {});
  if (given) {
    for (const DeviceKind& kind : given->devices) {
      Kind made{kind.dimension, {kind.shares.begin() + kind.begin[row], kind.shares.begin() + kind.begin[row + 1]}, {}};
      for (Kind& old : before) {
        if (old.dimension == kind.dimension) made.held = std::move(old.held);
      }
      made.held.resize(made.shares.size(), 0);
      if (!made.shares.empty()) offer.kinds.push_back(std::move(made));
    }
  }
  forget_devices(offer);
}

void SessionState::write(int32_t slot, const Record& record) {
  Offer& offer = offers_[slot];
  const auto& [rows, given, at] = record;
  offer.price = rows.price ? rows.price[at] : -1;
  write_kinds(offer, record);
  if (given) {
    offer.labels = labels_.take(given->offer_labels.set(at));
    offer.only = only_.take(given->offer_only.set(at));
    offer.staged = staged_.take(given->staged.set(at));
  } else {
    offer.labels = offer.only = offer.staged = -1;
  }
  offer.node = given && !given->node.empty() ? given->node[at] : kOwnNode + slot;
  int64_t* own = row(slot);
  for (size_t d = 0; d < dimensions_; ++d) {
    own[d] = d < rows.dimensions ? rows.offer_amount(at, d) : 0;
    refresh(slot, d);
  }
}

int32_t SessionState::add(int64_t number, const Record& record) {
  const auto slot = static_cast<int32_t>(offers_.size());
  offers_.emplace_back();
  offers_.back().number = number;
  offers_.back().present = true;
  rows_.resize(3 * offers_.size() * dimensions_, 0);
  slot_of_.put(number, slot);
  write(slot, record);
  return slot;
}

void SessionState::update(int32_t slot, const Record& record) {
  const auto [labels, only, staged] = std::tuple{offers_[slot].labels, offers_[slot].only, offers_[slot].staged};
  write(slot, record);
  drop_sets(labels, only, staged);  // after the new ones were taken: what both have stays
}

void SessionState::remove(int32_t slot) {
  Offer& offer = offers_[slot];
  for (int32_t task = offer.first; task >= 0;) forget(std::exchange(task, tasks_[task].next));
  drop_sets(offer.labels, offer.only, offer.staged);
  slot_of_.erase(offer.number);
  offer = {};
  std::fill_n(row(slot), 3 * dimensions_, 0);
}

int32_t SessionState::new_task() {
  if (spare_tasks_.empty()) {
    tasks_.emplace_back();
    task_amounts_.resize(tasks_.size() * dimensions_, 0);
    return static_cast<int32_t>(tasks_.size() - 1);
  }
  const int32_t task = spare_tasks_.back();
  spare_tasks_.pop_back();
  return task;
}

// Its place in the pool is free again.
void SessionState::forget(int32_t task) {
  task_of_.erase(tasks_[task].number);
  tasks_[task] = {};
  spare_tasks_.push_back(task);
}

void SessionState::hold(Task task, const int64_t* amounts) {
  const int32_t place = new_task();
  Offer& offer = offers_[task.slot];
  task_of_.put(task.number, place);
  task.before = -1;
  task.next = offer.first;
  if (offer.first >= 0) tasks_[offer.first].before = place;
  offer.first = place;
  ++offer.held;
  std::copy_n(amounts, dimensions_, task_amounts_.begin() + static_cast<ptrdiff_t>(place * dimensions_));
  tasks_[place] = std::move(task);
  move_amounts(place, 1);
}

// Takes what a task holds (1), or gives it back (-1).
void SessionState::move_amounts(int32_t number, int64_t sign) {
  const Task& task = tasks_[number];
  const int64_t* amounts = this->amounts(number);
  if (!task.devices.empty()) move_shares(task, amounts, sign);
  int64_t* held = row(task.slot) + dimensions_;
  for (size_t d = 0; d < dimensions_; ++d) {
    if (amounts[d] == 0) continue;
    held[d] += sign * amounts[d];
    refresh(task.slot, d);
  }
}

void SessionState::move_shares(const Task& task, const int64_t* amounts, int64_t sign) {
  for (const Device& device : task.devices) {
    const int64_t share = std::min(amounts[device.dimension], kUnit);
    kind_of(offers_[task.slot], device.dimension)->held[device.index] += sign * share;
  }
}

int32_t SessionState::release(int64_t number) {
  const int32_t place = task_of_.find(number);
  if (place < 0) return -1;
  move_amounts(place, -1);
  const Task& task = tasks_[place];
  const int32_t slot = task.slot;
  --offers_[slot].held;
  (task.before < 0 ? offers_[slot].first : tasks_[task.before].next) = task.next;
  if (task.next >= 0) tasks_[task.next].before = task.before;
  forget(place);
  return slot;
}

void SessionState::compact() {
  size_t to = 0;
  for (size_t from = 0; from < slots(); ++from) {
    if (!offers_[from].present) continue;
    const auto slot = static_cast<int32_t>(to);
    slot_of_.put(offers_[from].number, slot);
    for (int32_t task = offers_[from].first; task >= 0; task = tasks_[task].next) tasks_[task].slot = slot;
    if (to != from) {
      offers_[to] = std::move(offers_[from]);
      std::copy_n(row(from), 3 * dimensions_, row(to));
    }
    if (offers_[to].node >= kOwnNode) offers_[to].node = kOwnNode + slot;
    ++to;
  }
  offers_.resize(to);
  rows_.resize(3 * to * dimensions_);
}

void SessionState::add_free_shares(size_t slot, int32_t dimension, std::vector<int64_t>& into) const {
  for (const Kind& kind : offers_[slot].kinds) {
    if (kind.dimension != dimension) continue;
    for (size_t at = 0; at < kind.shares.size(); ++at) {
      into.push_back(std::max<int64_t>(0, kind.shares[at] - kind.held[at]));
    }
  }
}

std::vector<int32_t> SessionState::places() const {
  std::vector<int32_t> places(slots());
  int32_t count = 0;
  for (size_t slot = 0; slot < slots(); ++slot) {
    places[slot] = count;
    count += offers_[slot].present ? 1 : 0;
  }
  return places;
}

}  // namespace windlass::match
