// Reads the body of a STAGE message (proto/protocol.md), whoever sent it. No I/O.
#pragma once

#include <string_view>

#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

// Refuses the whole request at the first fault: INVALID_ARGUMENT, or UNIMPLEMENTED for what is named in the protocol
// and not served. `symlinks` holds where a transfer says nothing.
Result<Request> decode_request(std::string_view body, Symlinks symlinks);

}  // namespace windlass::stage
