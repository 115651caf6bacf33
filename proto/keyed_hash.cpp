#include "proto/keyed_hash.hpp"

#include <xxhash.h>

#include <random>

namespace windlass::proto {
namespace {

HashKey drawn() {
  std::random_device device;
  const auto number = [&] { return std::uint64_t{device()} << 32U | device(); };
  return {number(), number() | 1U};
}

}  // namespace

HashKey hash_key = drawn();

void fix_hash_key(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  hash_key.seed = random();
  hash_key.factor = random() | 1U;
}

std::uint64_t keyed_hash(std::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), hash_key.seed);
}

}  // namespace windlass::proto
