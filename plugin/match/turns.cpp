#include "plugin/match/turns.hpp"

#include <algorithm>
#include <numeric>

#include "proto/keyed_hash.hpp"

namespace windlass::match {
namespace {

std::vector<int32_t> by_priority(const Problem& problem) {
  std::vector<int32_t> order(problem.tasks);
  std::iota(order.begin(), order.end(), 0);
  const int32_t* priority = problem.priority;
  const auto before = [&](int32_t a, int32_t b) { return priority[a] > priority[b]; };
  if (priority && !std::is_sorted(order.begin(), order.end(), before)) {
    std::stable_sort(order.begin(), order.end(), before);
  }
  return order;
}

}  // namespace

Turns turns_of(const Problem& problem, std::span<const int32_t> gang) {
  Turns turns;
  std::vector<int32_t> taken = by_priority(problem);
  if (gang.empty()) {
    turns.order = std::move(taken);
    return turns;
  }
  proto::KeyedMap<int32_t, std::vector<int32_t>> members;  // gangs are numbered as the caller likes
  for (const int32_t task : taken) {
    if (gang[task] >= 0) members[gang[task]].push_back(task);
  }
  turns.order.reserve(problem.tasks);
  turns.begin.push_back(0);
  for (const int32_t task : taken) {
    if (gang[task] < 0) {
      turns.order.push_back(task);
    } else {
      const std::vector<int32_t>& all = members[gang[task]];
      if (all.front() != task) continue;
      turns.order.insert(turns.order.end(), all.begin(), all.end());
    }
    turns.begin.push_back(static_cast<int32_t>(turns.order.size()));
  }
  return turns;
}

}  // namespace windlass::match
