#include "proto/writer.hpp"

#include <bit>
#include <cstring>
#include <msgpack.hpp>

#include "proto/utf8.hpp"

namespace windlass::proto {
namespace {

// What fits in one byte is written by hand: most of a message is.
constexpr std::size_t kFewMax = 15;    // elements
constexpr std::size_t kShortMax = 31;  // bytes of text
constexpr std::uint64_t kSmallMax = 0x7F;

struct Sink {
  std::string& bytes;
  void write(const char* data, std::size_t count) { bytes.append(data, count); }
};

template <class Pack>
void pack(std::string& bytes, Pack&& write) {
  Sink sink{bytes};
  msgpack::packer<Sink> packer(sink);
  write(packer);
}

}  // namespace

Writer& Writer::byte(std::uint64_t value) {
  bytes_.push_back(static_cast<char>(value));
  return *this;
}

Writer& Writer::map(std::size_t pairs) {
  if (pairs <= kFewMax) return byte(0x80U | pairs);
  pack(bytes_, [&](auto& packer) { packer.pack_map(static_cast<std::uint32_t>(pairs)); });
  return *this;
}

Writer& Writer::array(std::size_t elements) {
  if (elements <= kFewMax) return byte(0x90U | elements);
  pack(bytes_, [&](auto& packer) { packer.pack_array(static_cast<std::uint32_t>(elements)); });
  return *this;
}

Writer& Writer::nil() {
  return byte(0xC0);
}

Writer& Writer::boolean(bool value) {
  return byte(value ? 0xC3 : 0xC2);
}

Writer& Writer::unsigned_integer(std::uint64_t value) {
  if (value <= kSmallMax) return byte(value);
  pack(bytes_, [&](auto& packer) { packer.pack_uint64(value); });
  return *this;
}

Writer& Writer::integer(std::int64_t value) {
  pack(bytes_, [&](auto& packer) { packer.pack_int64(value); });
  return *this;
}

Writer& Writer::number(double value) {
  // By hand: the packer makes integers of integral doubles, and a float is to stay one.
  const auto bits = std::bit_cast<std::uint64_t>(value);
  bytes_.push_back('\xCB');
  for (unsigned shift = 64; shift > 0; shift -= 8) bytes_.push_back(static_cast<char>(bits >> (shift - 8)));
  return *this;
}

Writer& Writer::str(std::string_view text) {
  if (text.size() <= kShortMax && is_ascii(text)) {
    char whole[1 + kShortMax];
    whole[0] = static_cast<char>(0xA0U | text.size());
    std::memcpy(whole + 1, text.data(), text.size());
    bytes_.append(whole, 1 + text.size());
    return *this;
  }
  const auto put = [this](std::string_view clean) {
    pack(bytes_, [&](auto& packer) {
      packer.pack_str(static_cast<std::uint32_t>(clean.size()));
      packer.pack_str_body(clean.data(), static_cast<std::uint32_t>(clean.size()));
    });
  };
  is_utf8(text) ? put(text) : put(to_utf8(text));
  return *this;
}

Writer& Writer::bin(std::string_view bytes) {
  pack(bytes_, [&](auto& packer) {
    packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
    packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  });
  return *this;
}

Writer& Writer::raw(std::string_view msgpack) {
  bytes_.append(msgpack);
  return *this;
}

}  // namespace windlass::proto
