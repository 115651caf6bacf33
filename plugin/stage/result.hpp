// What went wrong, and the Result that carries it. Operational failures are values; a programmer's error asserts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace windlass::stage {

// gRPC's numbers, as in windlass.h.
enum class Code : std::int32_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
};

struct Error {
  Code code = Code::internal;
  std::string message;  // what, where, why, what to do; always UTF-8
  bool retryable = false;
  bool again = false;  // the stager itself may try once more, at once or after a short wait
  std::int64_t retry_after_ms = 0;
  std::int64_t row = -1;  // of the transfer in its request
  std::string field;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

inline tl::unexpected<Error> fail(Code code, std::string message) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  return tl::unexpected<Error>(std::move(error));
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// The error for an errno (positive). `what`: "read", "create"...; `path`: where.
Error errno_error(int number, std::string_view what, std::string_view path);
inline tl::unexpected<Error> fail_errno(int number, std::string_view what, std::string_view path) {
  return tl::unexpected<Error>(errno_error(number, what, path));
}

// The bytes in single quotes, made printable UTF-8: what is not becomes \xNN.
std::string quoted(std::string_view bytes);

}  // namespace windlass::stage
