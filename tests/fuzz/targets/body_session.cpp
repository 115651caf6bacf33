// Bodies of the conversation: who is there, how loaded it is, and how requests end.
#include "tests/fuzz/golden.hpp"

namespace windlass::fuzz {
namespace {

constexpr Decoder kDecoders[] = {
    read_and_write<proto::Hello>,    read_and_write<proto::Welcome>,    read_and_write<proto::Load>,
    read_and_write<proto::LoadSeen>, read_and_write<proto::LoadAnswer>, read_and_write<proto::LoadReport>,
    read_and_write<proto::Progress>, read_and_write<proto::Cancel>,     read_and_write<proto::CancelResult>,
    read_and_write<proto::Error>,    read_and_write<proto::Empty>,
};

}  // namespace

void run(std::string_view bytes) {
  run_one_of(kDecoders, bytes);
}

std::vector<std::string> seeds() {
  return seeds_of(kDecoders);
}

}  // namespace windlass::fuzz
