// 128-bit integers, which scores are made of.
#pragma once

#include <cstdint>

namespace windlass::match {

__extension__ typedef __int128 Wide;
__extension__ typedef unsigned __int128 WideUnsigned;

constexpr int64_t high_half(Wide value) {
  return static_cast<int64_t>(value >> 64);
}
constexpr uint64_t low_half(Wide value) {
  return static_cast<uint64_t>(static_cast<WideUnsigned>(value));
}

}  // namespace windlass::match
