// Bodies and messages of proto/golden as seeds. One thread.
#pragma once

#include <span>

#include "proto/golden_messages.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace windlass::fuzz {

// What is read is written so that it is read again, and then written alike. False where it is refused.
template <class Body>
bool read_and_write(std::string_view bytes) {
  const auto body = proto::decode<Body>(bytes);
  if (!body) {
    require(!body.error().message.empty(), "a refusal says why");
    return false;
  }
  if constexpr (requires { proto::encode(*body); }) {
    const std::string written = proto::encode(*body);
    const auto again = proto::decode<Body>(written);
    require(again.has_value(), "what the codec writes it reads");
    require(proto::encode(*again) == written, "what is written and read is written alike");
  }
  return true;
}

// Inputs of targets with several decoders: the first byte says which.
using Decoder = bool (*)(std::string_view bytes);

inline void run_one_of(std::span<const Decoder> decoders, std::string_view bytes) {
  if (bytes.empty()) return;
  (void)decoders[static_cast<unsigned char>(bytes[0]) % decoders.size()](bytes.substr(1));
}

// Each golden body for each decoder that takes it.
inline std::vector<std::string> seeds_of(std::span<const Decoder> decoders) {
  std::vector<std::string> made;
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    for (std::size_t i = 0; i < decoders.size(); ++i) {
      const std::string& body = message.frames[1];
      if (decoders[i](body)) made.push_back(static_cast<char>(i) + body);
    }
  }
  return made;
}

}  // namespace windlass::fuzz
