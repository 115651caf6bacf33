// One example of each message, for the tests: what proto/golden/ holds as bytes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "proto/codec.hpp"

namespace windlass::proto {

struct GoldenMessage {
  std::string name;                 // of the file: NN_name
  std::string told;                 // direction and occasion, for the listing
  std::vector<std::string> frames;  // header, body, columns
  // Decodes a body and encodes it again; "fault: ..." where it is refused.
  std::function<std::string(std::string_view)> again;
};

std::vector<GoldenMessage> golden_messages();

// The container of a .bin file: for each frame its length as four little-endian bytes, then the frame.
std::string pack_frames(const std::vector<std::string>& frames);
std::vector<std::string> unpack_frames(const std::string& bytes);

// All messages in a form to be read: each frame in hex and as JSON would show it (h'..' for bin).
std::string golden_listing(const std::vector<GoldenMessage>& messages);

}  // namespace windlass::proto
