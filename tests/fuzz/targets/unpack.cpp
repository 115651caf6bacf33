// The decoders of gzip and zstd. The first byte says which, and how the rest is taken: as it is, in pieces and at once,
// which must come to the same; or as content, which must come back when it is packed.
#include <algorithm>

#include "plugin/stage/decoder.hpp"
#include "plugin/stage/testing/packed.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace windlass::fuzz {
namespace {

using stage::Packing;

constexpr std::uint64_t kMemory = 10U << 20U;  // for windows of up to 8 MiB
constexpr std::size_t kOutMost = 4U << 20U;    // no bomb takes the fuzzer's time

struct Decoded {
  std::string bytes;
  bool complete = false;
  bool failed = false;
};

Decoded decode(Packing packing, std::string_view from, std::size_t piece, std::size_t room) {
  stage::Memory memory(kMemory);
  std::uint64_t asked = 0;
  const auto decoder = stage::make_decoder(packing, [&](std::uint64_t bytes) -> stage::Result<stage::Memory::Share> {
    require(bytes >= stage::kZstdOwnBytes, "a window takes what zstd takes for itself, too");
    require(memory.has(kMemory), "who asks for more holds nothing");
    asked = bytes;
    if (auto share = memory.take(bytes)) return std::move(*share);
    return stage::fail(stage::Code::resource_exhausted, "too much");
  });
  Decoded decoded;
  std::string out(room, '\0');
  std::size_t taken = 0;
  for (bool more = true; more && decoded.bytes.size() < kOutMost;) {
    const std::string_view in = from.substr(taken, piece);
    auto step = decoder->step(in, out.data(), room);
    if (!step) {
      require(step.error().code == stage::Code::data_loss || asked > kMemory, "what is not sound is DATA_LOSS");
      require(!step.error().message.empty(), "a refusal says why");
      decoded.failed = true;
      return decoded;
    }
    require(step->taken <= in.size() && step->given <= room, "no more than there is");
    require(in.empty() || step->taken + step->given > 0, "it gets on where there are bytes and room");
    more = !in.empty() || step->given > 0;
    taken += step->taken;
    decoded.bytes.append(out, 0, step->given);
  }
  decoded.complete = decoder->complete();
  return decoded;
}

void in_pieces_as_at_once(Packing packing, std::string_view from, std::size_t piece, std::size_t room) {
  const Decoded one = decode(packing, from, piece, room);
  const Decoded other = decode(packing, from, from.size() + 1, 1U << 16U);
  const std::size_t both = std::min(one.bytes.size(), other.bytes.size());
  require(one.bytes.compare(0, both, other.bytes, 0, both) == 0, "the same comes out however it is put in");
  if (std::max(one.bytes.size(), other.bytes.size()) >= kOutMost) return;  // neither went to the end
  require(one.failed == other.failed && one.complete == other.complete, "it ends the same however it is put in");
  require(one.failed || one.bytes == other.bytes, "all of it comes out");
}

void comes_back(Packing packing, std::string_view content, std::size_t piece, int level) {
  const std::size_t half = content.size() / 2;
  const std::string from = stage::testing::packed(packing, content.substr(0, half), level) +
                           stage::testing::packed(packing, content.substr(half), level);
  const Decoded decoded = decode(packing, from, piece, 999);
  require(!decoded.failed && decoded.complete && decoded.bytes == content, "what was packed comes back");
}

}  // namespace

void run(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto choice = static_cast<unsigned char>(bytes[0]);
  const Packing packing = (choice & 1U) != 0 ? Packing::zstd : Packing::gzip;
  const std::size_t piece = 1 + (choice >> 2U);
  const std::string_view rest = bytes.substr(1);
  (void)stage::packing_of(rest);
  if ((choice & 2U) != 0)
    comes_back(packing, rest, piece, 1 + choice % 9);
  else
    in_pieces_as_at_once(packing, rest, piece, 1 + piece % 7 * 100);
}

std::vector<std::string> seeds() {
  const std::string content = "words and words and words, " + std::string(3000, 'x') + "\1\2\3\4\5";
  std::vector<std::string> made;
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    const std::string kind(1, packing == Packing::zstd ? '\1' : '\0');
    const std::string one = stage::testing::packed(packing, content);
    made.push_back(kind + one);
    made.push_back(kind + one + std::string(20, '\0') + stage::testing::packed(packing, "more"));
    made.push_back(kind + stage::testing::skippable("x") + one + stage::testing::skippable("") + one);
    made.push_back(kind + one.substr(0, one.size() - 5));
    made.push_back(kind + stage::testing::packed(packing, content, 1, 17));
    made.push_back(std::string(1, static_cast<char>(kind[0] | 2 | 0x30)) + content);
  }
  return made;
}

}  // namespace windlass::fuzz
