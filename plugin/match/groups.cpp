#include "plugin/match/groups.hpp"

#include <algorithm>

namespace windlass::match {

int32_t Groups::at(const Counts& counts, const Place& place) {
  const auto found = counts.find(place);
  return found == counts.end() ? 0 : found->second;
}

Groups::Groups(const Constraints& given) : given_(given) {
  for (const auto& limits : given.max_per.sets) {
    for (const auto& [key, most] : limits) {
      if (key != kNodeKey) keys_.push_back(key);
    }
  }
  std::sort(keys_.begin(), keys_.end());
  keys_.erase(std::unique(keys_.begin(), keys_.end()), keys_.end());
  watched_ = !given.max_per.of.empty() || !given.avoid.of.empty();
  for (const Running& running : given.running) {
    watched_ = watched_ || !running.avoid.empty();
    count_running(running);
  }
}

void Groups::count_running(const Running& running) {
  if (running.node >= 0) {
    for (const int32_t group : running.avoid) ++avoiders_[{group, kNodeKey, running.node}];
    if (running.group >= 0) ++members_[{running.group, kNodeKey, running.node}];
  }
  for (const int32_t key : keys_) {
    const int32_t value = value_of(running.labels, key);
    if (running.group >= 0 && value >= 0) ++members_[{running.group, key, value}];
  }
}

int32_t Groups::domain(int32_t key, int32_t offer) const {
  if (key == kNodeKey) return given_.node_of(offer);
  const Labels* labels = given_.offer_labels.set(offer);
  return labels ? value_of(*labels, key) : -1;
}

bool Groups::admits(int32_t task, int32_t offer) const {
  const int32_t group = given_.group_of(task);
  const int32_t node = given_.node_of(offer);
  if (group >= 0 && at(avoiders_, {group, kNodeKey, node}) > 0) return false;
  if (const auto* avoided = given_.avoid.set(task)) {
    for (const int32_t other : *avoided) {
      if (at(members_, {other, kNodeKey, node}) > 0) return false;
    }
  }
  const auto* limits = given_.max_per.set(task);
  if (!limits) return true;
  return std::all_of(limits->begin(), limits->end(), [&](const auto& limit) {
    const int32_t value = domain(limit.first, offer);
    return value >= 0 && at(members_, {group, limit.first, value}) < limit.second;
  });
}

void Groups::count(int32_t task, int32_t offer, int32_t change) {
  const int32_t group = given_.group_of(task);
  const int32_t node = given_.node_of(offer);
  if (const auto* avoided = given_.avoid.set(task)) {
    for (const int32_t other : *avoided) avoiders_[{other, kNodeKey, node}] += change;
  }
  if (group < 0) return;
  members_[{group, kNodeKey, node}] += change;
  for (const int32_t key : keys_) {
    const int32_t value = domain(key, offer);
    if (value >= 0) members_[{group, key, value}] += change;
  }
}

}  // namespace windlass::match
