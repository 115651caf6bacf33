// From the C interface's error to the wire's.
#pragma once

#include "plugin/include/windlass/windlass.h"
#include "proto/messages.hpp"

namespace windlass::worker {

[[nodiscard]] inline windlass_error empty_error() {
  windlass_error error{};
  error.size = sizeof error;
  error.row = -1;
  return error;
}

[[nodiscard]] inline proto::Error wire_error(windlass_code code, const windlass_error& error) {
  proto::Error wire;
  wire.code = static_cast<proto::Code>(code);
  wire.message = error.message;
  wire.retryable = error.retryable != 0;
  wire.retry_after_ms = error.retry_after_ms > 0 ? static_cast<std::uint64_t>(error.retry_after_ms) : 0;
  wire.side = static_cast<proto::Side>(error.side);
  wire.row = error.row;
  wire.field = error.field;
  return wire;
}

}  // namespace windlass::worker
