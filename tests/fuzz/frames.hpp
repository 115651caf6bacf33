// Whole messages of matching: body and columns as parts of an input.
#pragma once

#include "proto/codec.hpp"
#include "tests/fuzz/golden.hpp"
#include "worker/core/answer.hpp"

namespace windlass::fuzz {

// More work than this takes the engine longer than a fuzzer has; what it costs is not a decoder's question.
inline constexpr std::uint64_t kPairsMax = 1 << 16;

inline worker::Frames frames_of(std::string_view bytes) {
  worker::Frames frames;
  for (const std::string_view part : parts_of(bytes)) frames.emplace_back(std::string(part));
  return frames;
}

// Body and columns of the golden messages of a type.
inline std::vector<std::string> golden_requests(proto::Type type) {
  std::vector<std::string> made;
  for (const proto::GoldenMessage& message : proto::golden_messages()) {
    const auto header = proto::decode_header(message.frames[0]);
    if (!header || header->t != static_cast<std::uint32_t>(type)) continue;
    made.push_back(joined(std::span(message.frames).subspan(1)));
  }
  return made;
}

// An answer is one that a client's codec takes.
template <class Body>
void require_answer(const worker::Answer& answer) {
  require(!answer.frames.empty(), "an answer has a body");
  if (answer.type == proto::Type::error) {
    require(proto::decode<proto::Error>(answer.frames[0].view()).has_value(), "an ERROR is one that the codec reads");
    return;
  }
  const auto body = proto::decode<Body>(answer.frames[0].view());
  require(body.has_value(), "a RESULT is one that the codec reads");
  std::vector<std::size_t> sizes;
  for (std::size_t i = 1; i < answer.frames.size(); ++i) sizes.push_back(answer.frames[i].size());
  if constexpr (requires { body->columns; }) {
    require(!proto::check_columns(body->columns, sizes), "a RESULT's columns are as it announces them");
  }
}

}  // namespace windlass::fuzz
