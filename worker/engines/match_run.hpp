// From the frames of a MATCH to the frames of its answer, through the C interface of the matcher. Any thread; no state.
#pragma once

#include "worker/engines/engines.hpp"

namespace windlass::worker {

// Fills the task's answer and its numbers.
void run_match(MatchTask& task);

// Whether the request is small enough to be run by the control thread. What was read of it is kept in the task.
[[nodiscard]] bool is_small_match(MatchTask& task);

}  // namespace windlass::worker
