// Every limit of the wire in one place, with their relations. Checked before anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace windlass::proto {

inline constexpr std::uint32_t kVersionLowest = 1;
inline constexpr std::uint32_t kVersionHighest = 1;

inline constexpr std::size_t kHeaderBytesMax = 4096;
inline constexpr std::size_t kBodyBytesMax = std::size_t{16} << 20U;
inline constexpr std::uint32_t kDepthMax = 16;                       // maps and arrays within one another
inline constexpr std::uint64_t kNodesMax = std::uint64_t{8} << 20U;  // values of any kind in one header or body
inline constexpr std::size_t kKeysMax = 1024;  // in a map of named keys, known or not: header, body, what is in them
inline constexpr std::size_t kColumnsMax = 1024;
inline constexpr std::size_t kColumnBytesMax = std::size_t{1} << 31U;
inline constexpr std::size_t kFramesMax = 2 + kColumnsMax;
inline constexpr std::size_t kIdBytes = 16;
inline constexpr std::size_t kTransfersMax = 10'000;  // in one STAGE
inline constexpr std::size_t kDimensionsMax = 256;
// Tasks or offers of a MATCH that no column tells of: without bytes of their own, a short message could ask for any
// number, and the matcher needs memory for each, and 24 bytes of the answer.
inline constexpr std::uint64_t kBareRowsMax = 65'536;
inline constexpr std::size_t kNameBytesMax = 255;  // of nodes, software, features, incarnations
inline constexpr std::size_t kFeaturesMax = 64;
inline constexpr std::size_t kLabelsMax = 1024;    // of one node
inline constexpr std::size_t kGrantsMax = 10'000;  // in one GRANT or RELEASE
inline constexpr std::size_t kGrantAboutBytesMax = 1024;
inline constexpr std::size_t kGrantDevicesMax = 4096;                 // of one kind in one grant
inline constexpr std::uint64_t kLeaseMsMax = 1000ULL * 60 * 60 * 24;  // longer ones are cut to this
inline constexpr std::size_t kTraceparentBytesMax = 128;
inline constexpr std::uint64_t kDeadlineMsMax = 1000ULL * 60 * 60 * 24 * 365;  // longer ones are cut to this

static_assert(kVersionLowest <= kVersionHighest);
static_assert(kHeaderBytesMax <= kBodyBytesMax);
static_assert(kNodesMax <= kBodyBytesMax, "a value takes a byte at least");
static_assert(2 * kDimensionsMax + 2 < kColumnsMax, "amounts of both sides, priorities and prices fit the columns");
static_assert(kTransfersMax * 64 < kBodyBytesMax, "a full STAGE of plain paths fits a body");
static_assert(kTraceparentBytesMax + kIdBytes + 64 < kHeaderBytesMax);

}  // namespace windlass::proto
