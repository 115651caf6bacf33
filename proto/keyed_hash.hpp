// The one hash of tables whose keys others choose: labels, routes, ids, numbers. A key that is drawn once for the
// process goes into it. Without one, whoever knows the function sends keys that all fall together, and each of them is
// then looked for among all that came before: some megabytes held a thread for minutes. So `unordered` tables are
// KeyedMap and KeyedSet in all of the daemon and the library, and tools/house.py knows no others.
//
// Texts and whole objects: XXH3 with a seed. Numbers: both halves of a 128-bit product, as wyhash has it. The order in
// which a table is walked differs from process to process. Any thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>

namespace windlass::proto {

struct HashKey {
  std::uint64_t seed;
  std::uint64_t factor;  // odd
};
extern HashKey hash_key;  // to be read here alone

// For worlds that must be the same each time: from now on `seed` and what follows from it. No table may hold anything
// yet.
void fix_hash_key(std::uint64_t seed);

[[nodiscard]] std::uint64_t keyed_hash(std::string_view bytes);

[[nodiscard]] inline std::uint64_t keyed_hash(std::uint64_t number) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(number ^ hash_key.seed) * hash_key.factor;
  return static_cast<std::uint64_t>(product >> 64U) ^ static_cast<std::uint64_t>(product);
}

// Not noexcept: libstdc++ then keeps the hash beside each key, and compares it first.
struct KeyedHash {
  std::size_t operator()(std::string_view text) const { return keyed_hash(text); }
  std::size_t operator()(std::integral auto number) const { return keyed_hash(static_cast<std::uint64_t>(number)); }
  template <class Object>
    requires(std::is_class_v<Object> && std::has_unique_object_representations_v<Object> &&
             !std::is_convertible_v<Object, std::string_view>)
  std::size_t operator()(const Object& object) const {
    return keyed_hash(std::string_view(reinterpret_cast<const char*>(&object), sizeof object));
  }
};

template <class Key, class Value>
using KeyedMap = std::unordered_map<Key, Value, KeyedHash>;
template <class Key>
using KeyedSet = std::unordered_set<Key, KeyedHash>;

}  // namespace windlass::proto
