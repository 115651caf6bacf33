#include "plugin/match/session_state.hpp"

#include <algorithm>
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

// What a task holds of each of its devices.
int64_t share_of(const SessionState::Task& task, const Device& device) {
  return std::min(task.amounts[device.dimension], kUnit);
}

}  // namespace

int32_t SessionState::slot_of(int64_t number) const {
  const auto found = slot_of_.find(number);
  return found == slot_of_.end() ? -1 : found->second;
}

void SessionState::grow(size_t dimensions) {
  for (auto* columns : {&record_, &held_, &free_}) {
    while (columns->size() < dimensions) columns->emplace_back(offers_.size(), 0);
  }
}

// What is free of one dimension; of a kind the sum of its devices' free shares.
void SessionState::refresh(int32_t slot, size_t d) {
  if (const Kind* kind = kind_of(offers_[slot], static_cast<int32_t>(d))) {
    int64_t sum = 0;
    for (size_t at = 0; at < kind->shares.size(); ++at) sum += std::max<int64_t>(0, kind->shares[at] - kind->held[at]);
    free_[d][slot] = sum;
  } else {
    free_[d][slot] = std::max<int64_t>(0, record_[d][slot] - held_[d][slot]);
  }
}

void SessionState::drop_sets(const Offer& offer) {
  labels_.drop(offer.labels);
  only_.drop(offer.only);
  staged_.drop(offer.staged);
}

// Tasks forget devices beyond the end of the offer's lists.
void SessionState::forget_devices(Offer& offer) {
  for (const int64_t number : offer.tasks) {
    std::erase_if(tasks_.find(number)->second.devices, [&](const Device& device) {
      const Kind* kind = kind_of(offer, device.dimension);
      return !kind || static_cast<size_t>(device.index) >= kind->shares.size();
    });
  }
}

void SessionState::write(int32_t slot, const Record& record) {
  Offer& offer = offers_[slot];
  const auto& [rows, given, row] = record;
  offer.price = rows.price ? rows.price[row] : -1;
  std::vector<Kind> before = std::exchange(offer.kinds, {});
  for (const DeviceKind& kind : given ? given->devices : std::vector<DeviceKind>{}) {
    Kind made{kind.dimension, {kind.shares.begin() + kind.begin[row], kind.shares.begin() + kind.begin[row + 1]}, {}};
    for (Kind& old : before) {
      if (old.dimension == kind.dimension) made.held = std::move(old.held);
    }
    made.held.resize(made.shares.size(), 0);
    if (!made.shares.empty()) offer.kinds.push_back(std::move(made));
  }
  forget_devices(offer);
  if (given) {
    offer.labels = labels_.take(given->offer_labels.set(row));
    offer.only = only_.take(given->offer_only.set(row));
    offer.staged = staged_.take(given->staged.set(row));
  } else {
    offer.labels = offer.only = offer.staged = -1;
  }
  offer.node = given && !given->node.empty() ? given->node[row] : kOwnNode + slot;
  for (size_t d = 0; d < dimensions(); ++d) {
    record_[d][slot] = d < rows.dimensions ? rows.offer_amount(row, d) : 0;
    refresh(slot, d);
  }
}

int32_t SessionState::add(int64_t number, const Record& record) {
  const auto slot = static_cast<int32_t>(offers_.size());
  offers_.emplace_back();
  offers_.back().number = number;
  offers_.back().present = true;
  for (auto* columns : {&record_, &held_, &free_}) {
    for (std::vector<int64_t>& column : *columns) column.push_back(0);
  }
  slot_of_[number] = slot;
  write(slot, record);
  return slot;
}

void SessionState::update(int32_t slot, const Record& record) {
  const Offer old = {.labels = offers_[slot].labels, .only = offers_[slot].only, .staged = offers_[slot].staged};
  write(slot, record);
  drop_sets(old);  // after the new ones were taken: what both have stays
}

void SessionState::remove(int32_t slot) {
  Offer& offer = offers_[slot];
  for (const int64_t number : offer.tasks) tasks_.erase(number);
  drop_sets(offer);
  slot_of_.erase(offer.number);
  offer = {};
  for (auto* columns : {&record_, &held_, &free_}) {
    for (std::vector<int64_t>& column : *columns) column[slot] = 0;
  }
}

void SessionState::hold(int64_t number, Task task) {
  Offer& offer = offers_[task.slot];
  const int32_t slot = task.slot;
  for (const Device& device : task.devices) {
    kind_of(offer, device.dimension)->held[device.index] += share_of(task, device);
  }
  task.at = static_cast<int32_t>(offer.tasks.size());
  offer.tasks.push_back(number);
  for (size_t d = 0; d < task.amounts.size(); ++d) {
    if (task.amounts[d] == 0) continue;
    held_[d][slot] += task.amounts[d];
    refresh(slot, d);
  }
  tasks_.emplace(number, std::move(task));
}

void SessionState::give_back(const Task& task) {
  Offer& offer = offers_[task.slot];
  for (const Device& device : task.devices) {
    kind_of(offer, device.dimension)->held[device.index] -= share_of(task, device);
  }
  for (size_t d = 0; d < task.amounts.size(); ++d) {
    if (task.amounts[d] == 0) continue;
    held_[d][task.slot] -= task.amounts[d];
    refresh(task.slot, d);
  }
}

int32_t SessionState::release(int64_t number) {
  const auto found = tasks_.find(number);
  if (found == tasks_.end()) return -1;
  const Task& task = found->second;
  const int32_t slot = task.slot;
  give_back(task);
  std::vector<int64_t>& tasks = offers_[slot].tasks;
  const int64_t last = tasks.back();
  tasks[task.at] = last;
  tasks_.find(last)->second.at = task.at;
  tasks.pop_back();
  tasks_.erase(found);
  return slot;
}

void SessionState::compact() {
  size_t to = 0;
  for (size_t from = 0; from < slots(); ++from) {
    if (!offers_[from].present) continue;
    const auto slot = static_cast<int32_t>(to);
    slot_of_[offers_[from].number] = slot;
    for (const int64_t number : offers_[from].tasks) tasks_.find(number)->second.slot = slot;
    if (to != from) offers_[to] = std::move(offers_[from]);
    if (offers_[to].node >= kOwnNode) offers_[to].node = kOwnNode + slot;
    for (auto* columns : {&record_, &held_, &free_}) {
      for (std::vector<int64_t>& column : *columns) column[to] = column[from];
    }
    ++to;
  }
  offers_.resize(to);
  for (auto* columns : {&record_, &held_, &free_}) {
    for (std::vector<int64_t>& column : *columns) column.resize(to);
  }
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
