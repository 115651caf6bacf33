#include "plugin/stage/checksum.hpp"

#include <gtest/gtest.h>

#include "plugin/stage/crc.hpp"
#include "plugin/stage/testing/folder.hpp"

namespace windlass::stage {
namespace {

std::string hex_of(ChecksumKind kind, std::string_view text) {
  const auto hasher = make_hasher(kind);
  hasher->add(text.data(), text.size());
  return hasher->hex();
}

TEST(Checksum, EqualsPublishedVectors) {
  EXPECT_EQ(hex_of(ChecksumKind::crc32c, "123456789"), "e3069283");
  EXPECT_EQ(hex_of(ChecksumKind::crc64nvme, "123456789"), "ae8b14860a799888");
  EXPECT_EQ(hex_of(ChecksumKind::md5, "abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(hex_of(ChecksumKind::sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(ChecksumKind::xxh3, ""), "2d06800538d394c2");
}

TEST(Checksum, IsTheSameInPiecesOfAnySize) {
  const std::string text = testing::noise(70'001);
  for (const auto kind : {ChecksumKind::xxh3, ChecksumKind::crc32c, ChecksumKind::crc64nvme, ChecksumKind::sha256}) {
    for (const std::size_t piece : {1U, 7U, 4096U, 65'537U}) {
      const auto hasher = make_hasher(kind);
      for (std::size_t at = 0; at < text.size(); at += piece)
        hasher->add(text.data() + at, std::min(piece, text.size() - at));
      EXPECT_EQ(hasher->hex(), hex_of(kind, text)) << name_of(kind) << " in pieces of " << piece;
    }
  }
}

TEST(Checksum, InstructionsEqualTheTable) {
  const std::string text = testing::noise(5'000, 3);
  for (std::uint32_t i = 0; i < 200; ++i)
    EXPECT_EQ(crc32c(i * 77, text.data() + i, i * 20U), crc32c_by_table(i * 77, text.data() + i, i * 20U));
}

TEST(Checksum, ZerosAreHashedAsZeros) {
  const auto hasher = make_hasher(ChecksumKind::xxh3);
  hasher->add_zeros(200'000);
  EXPECT_EQ(hasher->hex(), hex_of(ChecksumKind::xxh3, std::string(200'000, '\0')));
}

TEST(Checksum, IsReadFromItsSpelling) {
  EXPECT_EQ(parse_checksum("md5")->expected, "");
  EXPECT_EQ(parse_checksum("crc32c:E3069283")->expected, "e3069283");
  for (const char* wrong : {"", "md5:", "crc32c:e306928", "crc32c:e306928g", "sha1", "xxh3:00", "MD5", "md5:0 "})
    EXPECT_EQ(parse_checksum(wrong).error().code, Code::invalid_argument) << wrong;
}

}  // namespace
}  // namespace windlass::stage
