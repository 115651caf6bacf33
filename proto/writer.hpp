// Writes msgpack: what the codec builds bodies with, and who else must make a map (offers from a file). The caller
// announces how many elements follow; nothing checks it but the tests. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace windlass::proto {

class Writer {
 public:
  // `room`: bytes to be ready for.
  explicit Writer(std::size_t room = 128) { bytes_.reserve(room); }

  Writer& map(std::size_t pairs);
  Writer& array(std::size_t elements);
  Writer& nil();
  Writer& boolean(bool value);
  Writer& unsigned_integer(std::uint64_t value);
  Writer& integer(std::int64_t value);
  Writer& number(double value);
  Writer& str(std::string_view text);  // what is not UTF-8 in it becomes '?'
  Writer& bin(std::string_view bytes);
  Writer& raw(std::string_view msgpack);  // one or more whole values as they are

  [[nodiscard]] std::string take() { return std::move(bytes_); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  Writer& byte(std::uint64_t value);

  std::string bytes_;
};

}  // namespace windlass::proto
