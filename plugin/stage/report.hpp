// Writes the body of a RESULT to a STAGE (proto/protocol.md). No I/O.
#pragma once

#include <string>
#include <vector>

#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

// `outcomes` in the order of `transfers`.
std::string encode_report(const std::vector<Transfer>& transfers, const std::vector<Outcome>& outcomes, double seconds);

}  // namespace windlass::stage
