// Writes the body of a RESULT to a STAGE (proto/protocol.md). No I/O.
#pragma once

#include <string>
#include <vector>

#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

// Of the whole report's 16 MiB: lists of failures and of checksums end where they would take more.
inline constexpr std::size_t kFailureBytesMax = 3U << 20U;
inline constexpr std::size_t kFileChecksumBytesMax = 8U << 20U;

// `outcomes` in the order of `transfers`.
std::string encode_report(const std::vector<Transfer>& transfers, const std::vector<Outcome>& outcomes, double seconds);

}  // namespace windlass::stage
