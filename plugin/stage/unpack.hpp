// Decompresses one file into another through a fixed set of buffers: reads run ahead, what comes out is summed up in
// order and written behind. One thread at a time.
#pragma once

#include <functional>
#include <optional>

#include "plugin/stage/carrier.hpp"
#include "plugin/stage/decoder.hpp"
#include "plugin/stage/memory.hpp"

namespace windlass::stage {

inline constexpr double kDecompressRatioDefault = 1000;

// What decompressing may cost. Shared by all transfers.
struct UnpackLimits {
  double ratio_max = kDecompressRatioDefault;  // bytes of a target for each byte of its source
  std::uint64_t window_bytes = 0;              // all that there is for the windows of zstd, in `memory`
  Memory& memory;
};

struct UnpackTask {
  Packing packing = Packing::gzip;
  Side from = {};
  Side to = {};  // empty
  std::uint64_t source_bytes = 0;
  std::optional<std::uint64_t> size = {};  // that the target must have
  Hasher* hasher = nullptr;
  std::function<Status(std::uint64_t)> room = {};  // asked before so many bytes more are written; may be empty
};

// How many bytes came out, all of which are in the target; where that is written past the page cache it is longer, and
// to be cut. FAILED_PRECONDITION: the source ended early. DATA_LOSS: what it holds is not sound, or not of that size.
// RESOURCE_EXHAUSTED: more than the limits allow, told as soon as it is known.
Result<std::uint64_t> unpack_bytes(Fs& fs, IoQueue& io, const Buffers& buffers, const UnpackLimits& limits,
                                   const UnpackTask& task, Pace& pace);

// The packing that is asked for, by a look at the first bytes; absent: copy it as it is, which `automatic` alone may
// find. DATA_LOSS where it is not what was said.
Result<std::optional<Packing>> packing_in(Fs& fs, IoQueue& io, const Buffers& buffers, Side from,
                                          std::uint64_t source_bytes, Decompress wish, Pace& pace);

}  // namespace windlass::stage
