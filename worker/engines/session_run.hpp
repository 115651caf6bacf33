// From the frames of a SESSION to the frames of its answer, through the C interface. One thread at a time for a
// session: that of the task (sessions.hpp sees to it).
#pragma once

#include "worker/engines/engines.hpp"

namespace windlass::worker {

// `change`, `match` and `offers` of the task's session.
void run_session(MatchTask& task);

// Whether the request is small enough to be run by the control thread.
[[nodiscard]] bool is_small_session(const MatchTask& task);

}  // namespace windlass::worker
