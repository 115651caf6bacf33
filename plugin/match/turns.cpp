#include "plugin/match/turns.hpp"

#include <algorithm>
#include <numeric>

namespace windlass::match {
namespace {

std::vector<int32_t> by_priority(const Problem& problem) {
  std::vector<int32_t> order(problem.tasks);
  std::iota(order.begin(), order.end(), 0);
  const int32_t* priority = problem.priority;
  if (priority) {
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return priority[a] > priority[b]; });
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
  int32_t gangs = 0;
  for (const int32_t number : gang) gangs = std::max(gangs, number + 1);
  std::vector<std::vector<int32_t>> members(static_cast<size_t>(gangs));
  for (const int32_t task : taken) {
    if (gang[task] >= 0) members[gang[task]].push_back(task);
  }
  turns.order.reserve(problem.tasks);
  turns.begin.push_back(0);
  for (const int32_t task : taken) {
    if (gang[task] < 0) {
      turns.order.push_back(task);
    } else if (members[gang[task]].front() == task) {
      turns.order.insert(turns.order.end(), members[gang[task]].begin(), members[gang[task]].end());
    } else {
      continue;
    }
    turns.begin.push_back(static_cast<int32_t>(turns.order.size()));
  }
  return turns;
}

}  // namespace windlass::match
