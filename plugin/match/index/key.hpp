// What the index orders offers by, and what it keeps of each.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "plugin/match/index/kernels.hpp"
#include "plugin/match/wide.hpp"

namespace windlass::match {

// The smaller is the better.
struct Key {
  int64_t price = 0;
  Wide sum = 0;

  friend bool operator==(const Key& a, const Key& b) { return a.sum == b.sum && a.price == b.price; }
  friend bool operator<(const Key& a, const Key& b) { return a.price != b.price ? a.price < b.price : a.sum < b.sum; }
};

inline constexpr Wide kWideMax = static_cast<Wide>(~static_cast<WideUnsigned>(0) >> 1);
inline constexpr Key kKeyLeast{std::numeric_limits<int64_t>::min(), -kWideMax - 1};
inline constexpr Key kKeyMost{std::numeric_limits<int64_t>::max(), kWideMax};

// A group of offers with equal amounts, or one offer.
struct Entry {
  Key key;
  uint64_t ranks;  // as Ranks::of
  int32_t group;
};

// Where an entry is; valid until the next change.
struct Slot {
  Key key;
  Key total;           // the key and what is added to its sum
  int32_t group = -1;  // -1: nothing was found
  int32_t position = 0, lane = 0, place = 0;
};

// By row.
inline std::array<uint8_t, kRanksMax> bytes_of(uint64_t ranks) {
  static_assert(std::endian::native == std::endian::little);
  return std::bit_cast<std::array<uint8_t, kRanksMax>>(ranks);
}

// Sums and limits are each within 2^126 + 2^64, so only their sum may leave the range.
inline Wide added(Wide sum, Wide limit) {
  if (limit > 0 && sum > kWideMax - limit) return kWideMax;
  if (limit < 0 && sum < -kWideMax - limit) return -kWideMax;
  return sum + limit;
}

}  // namespace windlass::match
