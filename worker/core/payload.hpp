// What a request asks for, told apart by a sum of 128 bits: an id belongs to one payload. Any thread; no state.
#pragma once

#include <cstdint>

#include "worker/core/answer.hpp"

namespace windlass::worker {

// XXH3-128 over the type, body and columns. Not proof against who looks for collisions: ids are drawn by the asker, who
// would fool nobody else.
struct Payload {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Payload&) const = default;
};

// Of a STAGE the deadlines are left out: they tell what remains, and shrink from one asking to the next.
[[nodiscard]] Payload payload_of(proto::Type type, const Frames& frames);
// The same for a STAGE that is decoded already.
[[nodiscard]] Payload payload_of(const proto::Stage& stage, const Frame& body);

// Bytes alike; cheaper than a sum where one side has none yet.
[[nodiscard]] bool are_alike(const Frames& one, const Frames& other);

}  // namespace windlass::worker
