// UTF-8 as the wire's str wants it. Any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace windlass::proto {

// ASCII alone, as nearly all text here is. Made for a few bytes.
[[nodiscard]] inline bool is_ascii(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  std::uint64_t bits = 0;
  while (text.size() >= sizeof bits) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data(), sizeof eight);
    bits |= eight;
    text.remove_prefix(sizeof eight);
  }
  for (const char byte : text) bits |= static_cast<unsigned char>(byte);
  return (bits & kHighBits) == 0;
}

// Well-formed: shortest forms only, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

// The text with each byte that is not part of well-formed UTF-8 replaced by '?': for messages that quote paths.
[[nodiscard]] std::string to_utf8(std::string_view text);

}  // namespace windlass::proto
