#include "plugin/stage/crc.hpp"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace windlass::stage {
namespace {

static_assert(std::endian::native == std::endian::little, "eight bytes are taken as one little-endian word");

// Slicing by eight: table k advances a byte that lies k bytes before the end of the word.
template <class Word>
constexpr std::array<std::array<Word, 256>, 8> make_tables(Word reflected_polynomial) {
  std::array<std::array<Word, 256>, 8> tables{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    Word value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? reflected_polynomial : Word{0});
    tables[0][byte] = value;
  }
  for (unsigned k = 1; k < 8; ++k)
    for (unsigned byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8U) ^ tables[0][tables[k - 1][byte] & 0xFFU];
  return tables;
}

constexpr auto kTables32 = make_tables<std::uint32_t>(0x82F63B78U);
constexpr auto kTables64 = make_tables<std::uint64_t>(0x9A6C9329AC4BC9B5ULL);

template <class Word>
Word by_table(const std::array<std::array<Word, 256>, 8>& tables, Word value, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  value = ~value;
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    word ^= value;
    Word next = 0;
    for (unsigned i = 0; i < 8; ++i) next ^= tables[7 - i][(word >> (8 * i)) & 0xFFU];
    value = next;
  }
  for (; bytes > 0; --bytes, ++at) value = (value >> 8U) ^ tables[0][(value ^ *at) & 0xFFU];
  return ~value;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::uint32_t value, const void* data,
                                                                      std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint64_t running = static_cast<std::uint32_t>(~value);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    running = _mm_crc32_u64(running, word);
  }
  auto small = static_cast<std::uint32_t>(running);
  for (; bytes > 0; --bytes, ++at) small = _mm_crc32_u8(small, *at);
  return ~small;
}
#endif

}  // namespace

std::uint32_t crc32c_by_table(std::uint32_t value, const void* data, std::size_t bytes) {
  return by_table(kTables32, value, data, bytes);
}

std::uint32_t crc32c(std::uint32_t value, const void* data, std::size_t bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_by_instruction(value, data, bytes);
#endif
  return crc32c_by_table(value, data, bytes);
}

std::uint64_t crc64nvme(std::uint64_t value, const void* data, std::size_t bytes) {
  return by_table(kTables64, value, data, bytes);
}

}  // namespace windlass::stage
