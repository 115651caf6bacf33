// A fuzz target: `run` takes whatever bytes and must neither crash nor break a promise, `seeds` are honest inputs to
// begin with. Each file of targets/ defines both; it is linked twice, with libFuzzer (libfuzzer.cpp, preset fuzz) and
// with replay.cpp, which needs no clang. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::fuzz {

void run(std::string_view bytes);
std::vector<std::string> seeds();

// A promise that holds whatever the input was.
inline void require(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

// Inputs of several parts: each as its length in two little-endian bytes, then its bytes. What is cut ends the list,
// so any bytes are some list.
inline std::vector<std::string_view> parts_of(std::string_view bytes) {
  std::vector<std::string_view> parts;
  while (bytes.size() >= 2) {
    const std::size_t wanted = static_cast<unsigned char>(bytes[0]) | static_cast<unsigned char>(bytes[1]) << 8U;
    bytes.remove_prefix(2);
    parts.push_back(bytes.substr(0, wanted));
    bytes.remove_prefix(parts.back().size());
  }
  return parts;
}

template <class Parts>
std::string joined(const Parts& parts) {
  std::string bytes;
  for (const auto& part : parts) {
    bytes.push_back(static_cast<char>(part.size() & 0xFFU));
    bytes.push_back(static_cast<char>(part.size() >> 8U & 0xFFU));
    bytes += part;
  }
  return bytes;
}

}  // namespace windlass::fuzz
