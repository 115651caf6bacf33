// Bodies of MATCH and its answer.
#include "tests/fuzz/golden.hpp"

namespace windlass::fuzz {
namespace {

constexpr Decoder kDecoders[] = {
    read_and_write<proto::Match>,
    read_and_write<proto::MatchResult>,
};

}  // namespace

void run(std::string_view bytes) {
  run_one_of(kDecoders, bytes);
}

std::vector<std::string> seeds() {
  return seeds_of(kDecoders);
}

}  // namespace windlass::fuzz
