// Tasks that ask for the same: what was learnt for one serves the next.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/match/problem.hpp"

namespace windlass::match {

// By task the number of its shape, from 0; empty where tasks are too varied for it to pay.
struct Shapes {
  std::vector<int32_t> of;
  std::vector<int32_t> example;  // by shape: its first task
};

Shapes shapes_of(const Problem& problem);

}  // namespace windlass::match
