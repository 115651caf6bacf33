// Who is taken when: by priority, equal ones as given; a gang at the turn of its first member.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/problem.hpp"

namespace windlass::match {

struct Turns {
  std::vector<int32_t> order;  // every task once
  std::vector<int32_t> begin;  // [turns + 1] into `order`; empty where each task is a turn of its own

  size_t count() const { return begin.empty() ? order.size() : begin.size() - 1; }
  std::span<const int32_t> turn(size_t number) const {
    if (begin.empty()) return std::span(order).subspan(number, 1);
    return std::span(order).subspan(begin[number], begin[number + 1] - begin[number]);
  }
};

// `gang`: by task its gang from 0, -1 none; empty where there are none.
Turns turns_of(const Problem& problem, std::span<const int32_t> gang);

}  // namespace windlass::match
