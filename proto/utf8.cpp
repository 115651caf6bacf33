#include "proto/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace windlass::proto {
namespace {

bool in_range(std::string_view text, std::size_t at, unsigned low, unsigned high) {
  if (at >= text.size()) return false;
  const auto byte = static_cast<unsigned char>(text[at]);
  return byte >= low && byte <= high;
}

bool tails(std::string_view text, std::size_t at, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!in_range(text, at + i, 0x80, 0xBF)) return false;
  }
  return true;
}

// Bytes of the character at `at`; 0 where there is no well-formed one.
std::size_t character_at(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tails(text, at + 1, 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return in_range(text, at + 1, low, high) && tails(text, at + 2, 1) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return in_range(text, at + 1, low, high) && tails(text, at + 2, 2) ? 4 : 0;
  }
  return 0;
}

// Bytes at the beginning that are ASCII, which as a rule is all there is.
std::size_t ascii_of(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof eight <= text.size(); at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & kHighBits) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t at = ascii_of(text); at < text.size();) {
    const std::size_t bytes = character_at(text, at);
    if (bytes == 0) return false;
    at += bytes;
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = character_at(text, at);
    if (bytes == 0) {
      clean.push_back('?');
      ++at;
    } else {
      clean.append(text.substr(at, bytes));
      at += bytes;
    }
  }
  return clean;
}

}  // namespace windlass::proto
