// Bounded reading of msgpack that a stranger sent. Nothing here allocates in proportion to what a message announces:
// a count is believed only as far as the bytes that remain.
//
//   if (auto fault = scan(bytes)) refuse(*fault);        // whole message: depth, counts, sizes, UTF-8, nothing after
//   it Reader reader(bytes);                                // a cursor; views stay valid as long as the bytes
//   read_map(reader, [&](std::string_view key) {
//     if (key == "size") size = reader.unsigned_integer();
//     else return false;                                 // not known: passed over
//     return true;
//   });
//   if (reader.failed()) refuse(reader.fault());
//
// A Reader is safe on bytes that were not scanned, too; scan() is what refuses depth, bad UTF-8 and rest bytes.
// After the first fault every call of a Reader answers zero or empty, so that it may be asked once at the end.
// One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/keyed_hash.hpp"
#include "proto/limits.hpp"

namespace windlass::proto {

struct ScanLimits {
  std::size_t bytes_max = kBodyBytesMax;
  std::uint32_t depth_max = kDepthMax;
  std::uint64_t nodes_max = kNodesMax;
};

// Walks exactly one value that fills `bytes`. nullopt where it is well-formed and within the limits, else what is
// wrong. Extension types are refused. Allocates nothing but the message of a fault.
[[nodiscard]] std::optional<std::string> scan(std::string_view bytes, const ScanLimits& limits = {});

struct Head;  // the opening of one value; known to bounded.cpp alone

enum class Kind : std::uint8_t { none, nil, boolean, integer, number, str, bin, array, map };
[[nodiscard]] const char* name_of(Kind kind);

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  // Of the next value; `none` at the end, after a fault, and for what is no msgpack.
  [[nodiscard]] Kind kind() const;
  [[nodiscard]] bool at_end() const { return failed() || at_ == bytes_.size(); }

  // Each takes the next value, which must be of that kind, else the Reader fails.
  std::uint64_t unsigned_integer(std::uint64_t max = UINT64_MAX);
  std::int64_t integer(std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX);
  double number();  // integers count as numbers; NaN and infinities come through
  bool boolean();
  std::string_view str(std::size_t bytes_max = SIZE_MAX);
  std::string_view bin(std::size_t bytes_max = SIZE_MAX);
  bool take_nil();  // takes a nil and answers true, or leaves what is there

  // Take the opening of an array or a map and answer the number of elements or of pairs, which then follow. No more
  // than the remaining bytes could hold.
  std::size_t array(std::size_t count_max = SIZE_MAX);
  std::size_t map(std::size_t count_max = SIZE_MAX);

  void skip();             // passes over one whole value
  std::string_view raw();  // the bytes of the next value, whole; passes over it

  [[nodiscard]] bool failed() const { return !fault_.empty(); }
  [[nodiscard]] const std::string& fault() const { return fault_; }
  // The first fault stays. `what` must not be empty.
  void fail(std::string what);
  // Puts "where: " before the fault, so that nested values are named from outside in.
  void blame(std::string_view where);

 private:
  [[nodiscard]] Head head() const;
  Head take(Kind wanted);
  std::string_view blob(Kind wanted, std::size_t bytes_max);
  [[nodiscard]] int first() const;  // byte of the next value; -1 at the end and after a fault
  std::size_t few(int base, std::size_t bytes_each, std::size_t count_max);

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::string fault_;
};

// Keys seen in one map; a few need no allocation.
class KeySet {
 public:
  // false where the key was there already. The view must live as long as the set.
  bool insert(std::string_view key);

 private:
  std::array<std::string_view, 32> few_{};
  std::size_t count_ = 0;
  KeyedSet<std::string_view> many_;
};

// Reads a map with str keys. `take(key)` takes the value and answers true, or answers false and leaves it, upon which
// it is passed over. A key that occurs twice is a fault, and so is a key that is no str, and one more than `count_max`.
// A fault below is named by its key.
template <class Take>
void read_map(Reader& reader, Take&& take, std::size_t count_max = kKeysMax) {
  const std::size_t count = reader.map(count_max);
  KeySet seen;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    const std::string_view key = reader.str();
    if (reader.failed()) return;
    if (!seen.insert(key)) {
      reader.fail("the key \"" + std::string(key) + "\" occurs twice");
      return;
    }
    if (!take(key) && !reader.failed()) reader.skip();
    if (reader.failed()) reader.blame(key);
  }
}

// Reads an array; `take(index)` takes each element. A fault below is named by its index.
template <class Take>
void read_array(Reader& reader, Take&& take, std::size_t count_max = SIZE_MAX) {
  const std::size_t count = reader.array(count_max);
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    take(i);
    if (reader.failed()) reader.blame(std::to_string(i));
  }
}

}  // namespace windlass::proto
