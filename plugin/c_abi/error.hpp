// How the C interface tells of failures, and how it reads size-prefixed structs. For the files of c_abi/ only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "plugin/include/windlass/windlass.h"

namespace windlass::c_abi {

struct ErrorFields {
  windlass_side side = WINDLASS_SIDE_NONE;
  int64_t row = -1;
  std::string_view field = {};
  bool retryable = false;
  int64_t retry_after_ms = 0;
};

// Fills `error` (may be null; only its first `size` bytes are written) and answers `code`. Text that is too long is cut
// at a whole UTF-8 character.
windlass_code fail(windlass_error* error, windlass_code code, std::string_view message, const ErrorFields& fields = {});

// Copies the caller's struct into one of today's size; what an older caller does not know is zero. False where `size`
// is below `least` or a newer caller sets something that this library does not know.
template <typename T>
bool read_sized(const T* given, size_t least, T& known) {
  known = T{};
  if (!given || given->size < least) return false;
  const size_t shared = std::min<size_t>(given->size, sizeof(T));
  std::memcpy(static_cast<void*>(&known), given, shared);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  return std::all_of(bytes + shared, bytes + given->size, [](unsigned char byte) { return byte == 0; });
}

// Copies `known` out to as much of the caller's struct as it has; its `size` stays.
template <typename T>
void write_sized(const T& known, T* given) {
  if (!given || given->size < sizeof(given->size)) return;
  const uint32_t size = given->size;
  std::memcpy(static_cast<void*>(given), &known, std::min<size_t>(size, sizeof(T)));
  given->size = size;
}

// Runs `body`, which answers a windlass_code, and turns what it throws into one: no exception crosses the interface.
template <typename Body>
windlass_code guarded(windlass_error* error, Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(error, WINDLASS_RESOURCE_EXHAUSTED, "out of memory; ask for less at once", {.retryable = true});
  } catch (const std::exception& problem) {
    return fail(error, WINDLASS_INTERNAL, problem.what());
  } catch (...) {
    return fail(error, WINDLASS_INTERNAL, "an unknown exception");
  }
}

}  // namespace windlass::c_abi
