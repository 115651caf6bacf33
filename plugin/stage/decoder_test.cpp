#include "plugin/stage/decoder.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "plugin/stage/testing/folder.hpp"
#include "plugin/stage/testing/packed.hpp"

namespace windlass::stage {
namespace {

struct Decoded {
  std::string bytes;
  bool complete = false;
  std::optional<Error> error;
};

// In pieces of so many bytes, into rooms of so many.
Decoded decode(Decoder& decoder, std::string_view from, std::size_t piece, std::size_t room) {
  Decoded decoded;
  std::string out(room, '\0');
  for (bool more = true; more;) {
    auto step = decoder.step(from.substr(0, piece), out.data(), room);
    if (!step) {
      decoded.error = step.error();
      return decoded;
    }
    more = !from.empty() || step->given > 0;
    from.remove_prefix(step->taken);
    decoded.bytes.append(out, 0, step->given);
  }
  decoded.complete = decoder.complete();
  return decoded;
}

Decoded decode(Packing packing, std::string_view from, std::size_t piece = SIZE_MAX, std::size_t room = 1000) {
  Memory memory(64U << 20U);
  return decode(*make_decoder(packing, [&](std::uint64_t bytes) { return *memory.take(bytes); }), from, piece, room);
}

TEST(Packing, IsToldByTheFirstBytes) {
  EXPECT_EQ(packing_of("\x1f\x8b\x08\x00"), Packing::gzip);
  EXPECT_EQ(packing_of("\x1f\x8b\x08"), Packing::gzip);
  EXPECT_EQ(packing_of("\x28\xb5\x2f\xfd"), Packing::zstd);
  EXPECT_EQ(packing_of("\x50\x2a\x4d\x18"), Packing::zstd);
  EXPECT_EQ(packing_of("\x5f\x2a\x4d\x18"), Packing::zstd);
  for (const char* other : {"", "\x1f\x8b", "\x1f\x8b\x07 ", "\x28\xb5\x2f", "\x28\xb5\x2f\xfc", "\x60\x2a\x4d\x18",
                            "\x4f\x2a\x4d\x18", "text"})
    EXPECT_EQ(packing_of(other), std::nullopt) << other;
}

TEST(Decoder, TakesAndGivesInPiecesOfAnySize) {
  const std::string content = testing::noise(3000) + std::string(70'000, 'x');
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    const std::string from =
        testing::packed(packing, content) + testing::packed(packing, "") + testing::packed(packing, "the last");
    for (const std::size_t piece : {1U, 2U, 17U, 1'000'000U}) {
      for (const std::size_t room : {1U, 1000U, 1'000'000U}) {
        const Decoded decoded = decode(packing, from, piece, room);
        ASSERT_FALSE(decoded.error) << decoded.error->message;
        EXPECT_TRUE(decoded.complete);
        EXPECT_TRUE(decoded.bytes == content + "the last") << piece << " " << room;
      }
    }
  }
}

TEST(Decoder, KnowsWhetherTheBytesMayEnd) {
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    EXPECT_TRUE(make_decoder(packing, nullptr)->complete());
    const std::string from = testing::packed(packing, "words");
    for (std::size_t cut = 1; cut < from.size(); ++cut) {
      const Decoded decoded = decode(packing, from.substr(0, cut));
      EXPECT_FALSE(decoded.error);
      EXPECT_FALSE(decoded.complete) << cut;
    }
  }
}

TEST(Decoder, PassesOverWhatStandsBetween) {
  const std::string gzip = testing::packed(Packing::gzip, "a") + std::string(513, '\0');
  EXPECT_EQ(decode(Packing::gzip, gzip).bytes, "a");
  EXPECT_EQ(decode(Packing::gzip, gzip + gzip, 7).bytes, "aa");
  const std::string zstd =
      testing::skippable("for others") + testing::packed(Packing::zstd, "b") + testing::skippable("");
  EXPECT_EQ(decode(Packing::zstd, zstd + zstd, 3).bytes, "bb");
  EXPECT_TRUE(decode(Packing::zstd, testing::skippable("alone")).complete);
}

TEST(Decoder, RefusesWhatIsNotSound) {
  for (const Packing packing : {Packing::gzip, Packing::zstd}) {
    const std::string good = testing::packed(packing, testing::noise(5000));
    for (const std::string& bad : {std::string(20, '\0'), good + "rubbish", std::string("some text")}) {
      const Decoded decoded = decode(packing, bad);
      ASSERT_TRUE(decoded.error) << bad;
      EXPECT_EQ(decoded.error->code, Code::data_loss);
    }
    std::string flipped = good;
    flipped[good.size() / 2] ^= 1;
    EXPECT_TRUE(decode(packing, flipped).error) << "the checksum of the content tells";
  }
}

TEST(Decoder, AsksForTheMemoryOfEachWindowBeforeItTakesIt) {
  const std::string content = testing::noise(5000);
  const auto frame = [&](int log) { return testing::packed(Packing::zstd, content, 1, log); };
  Memory memory(4U << 20U);
  std::vector<std::uint64_t> asked;
  const auto take = [&](std::uint64_t bytes) -> Result<Memory::Share> {
    asked.push_back(bytes);
    auto share = memory.take(bytes);
    if (!share) return fail(Code::resource_exhausted, "no memory");
    return std::move(*share);
  };
  {
    const auto decoder = make_decoder(Packing::zstd, take);
    const std::string from = frame(20) + frame(14) + testing::skippable("x") + frame(21) + frame(21);
    EXPECT_TRUE(decode(*decoder, from, 3, 700).bytes == content + content + content + content);
    EXPECT_EQ(asked, (std::vector<std::uint64_t>{(1U << 20U) + kZstdOwnBytes, (2U << 20U) + kZstdOwnBytes}));
    EXPECT_FALSE(memory.has(2U << 20U)) << "it holds what its largest frame took";
    const Decoded refused = decode(*decoder, frame(22), 3, 700);
    ASSERT_TRUE(refused.error);
    EXPECT_EQ(refused.error->message, "no memory");
    EXPECT_TRUE(memory.has(4U << 20U)) << "it waits with nothing in its hands";
  }
  EXPECT_TRUE(memory.has(4U << 20U));
}

TEST(Decoder, AsksForNoLessWhereAFrameSaysMoreThanASumHolds) {
  // A frame of one segment, whose content is said to have 2^64 - 1 bytes.
  const std::string head = std::string("\x28\xb5\x2f\xfd\xe0", 5) + std::string(8, '\xff') + std::string(20, '\0');
  std::uint64_t asked = 0;
  const auto decoder = make_decoder(Packing::zstd, [&](std::uint64_t bytes) -> Result<Memory::Share> {
    asked = bytes;
    return fail(Code::resource_exhausted, "too much");
  });
  const Decoded decoded = decode(*decoder, head, SIZE_MAX, 1000);
  ASSERT_TRUE(decoded.error);
  EXPECT_EQ(decoded.error->code, Code::resource_exhausted);
  EXPECT_GT(asked, std::uint64_t{1} << 63U);
}

TEST(Decoder, ReadsTheWindowFromAFramesHead) {
  const auto head = [](std::initializer_list<int> bytes) {
    std::string text("\x28\xb5\x2f\xfd", 4);
    for (const int byte : bytes) text += static_cast<char>(byte);
    return zstd_head(text);
  };
  EXPECT_EQ(zstd_head("").bytes, 5U);
  EXPECT_EQ(head({0x00}).bytes, 6U) << "a window's byte follows";
  EXPECT_EQ(head({0x00, 0x00}).window, 1024U);
  EXPECT_EQ(head({0x00, 0x59}).window, (1U << 21U) + (1U << 18U));
  EXPECT_EQ(head({0x00, 0xFF}).window, (std::uint64_t{1} << 41U) / 8 * 15);
  EXPECT_EQ(head({0x20}).bytes, 6U) << "a content's byte";
  EXPECT_EQ(head({0x20, 200}).window, 200U);
  EXPECT_EQ(head({0x60, 1, 2}).window, 256U + 513);
  EXPECT_EQ(head({0xA3, 9, 9, 9, 9, 1, 0, 0, 1}).window, (1U << 24U) + 1) << "behind four bytes of a dictionary";
  EXPECT_EQ(head({0xE0, 1, 1, 1, 1, 1, 1, 1}).bytes, 13U);
  EXPECT_EQ(head({0xE0, 0, 0, 0, 0, 0, 0, 0, 1}).window, std::uint64_t{1} << 56U);
  EXPECT_EQ(head({0x43, 0, 9, 9, 9, 9, 1}).bytes, 12U);
}

}  // namespace
}  // namespace windlass::stage
