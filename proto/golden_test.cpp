#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "proto/golden_messages.hpp"

namespace windlass::proto {
namespace {

const std::filesystem::path kFolder = WINDLASS_GOLDEN;

std::string contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream bytes;
  bytes << stream.rdbuf();
  return bytes.str();
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Golden, FilesAreWhatTheCodecWrites) {
  const auto messages = golden_messages();
  const bool renew = std::getenv("WINDLASS_GOLDEN_WRITE") != nullptr;
  std::size_t files = 0;
  for (const GoldenMessage& message : messages) {
    const auto path = kFolder / (message.name + ".bin");
    if (renew) write(path, pack_frames(message.frames));
    EXPECT_EQ(contents(path), pack_frames(message.frames)) << path;
  }
  if (renew) write(kFolder / "listing.txt", golden_listing(messages));
  EXPECT_EQ(contents(kFolder / "listing.txt"), golden_listing(messages));
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) files += entry.path().extension() == ".bin";
  EXPECT_EQ(files, messages.size()) << "a file that no message stands for";
}

TEST(Golden, EachMessageIsReadAndWrittenAlike) {
  for (const GoldenMessage& message : golden_messages()) {
    const auto frames = unpack_frames(contents(kFolder / (message.name + ".bin")));
    ASSERT_GE(frames.size(), 2U) << message.name;
    const auto header = decode_header(frames[0]);
    ASSERT_TRUE(header) << message.name << ": " << header.error().message;
    EXPECT_EQ(encode(*header), frames[0]) << message.name;
    EXPECT_EQ(message.again(frames[1]), frames[1]) << message.name;
  }
}

TEST(Golden, EveryCutIsRefused) {
  for (const GoldenMessage& message : golden_messages()) {
    const std::string& body = message.frames[1];
    for (std::size_t bytes = 0; bytes < body.size(); ++bytes) {
      EXPECT_EQ(message.again(std::string_view(body).substr(0, bytes)).substr(0, 6), "fault:") << message.name << bytes;
    }
  }
}

// Whatever one flipped byte makes of a message: an answer, never a crash (the sanitizers watch).
TEST(Golden, EveryFlippedByteIsReadOrRefused) {
  for (const GoldenMessage& message : golden_messages()) {
    for (std::size_t at = 0; at < message.frames[1].size(); ++at) {
      for (const int flip : {0x01, 0x40, 0x80, 0xFF}) {
        std::string body = message.frames[1];
        body[at] = static_cast<char>(body[at] ^ flip);
        EXPECT_FALSE(message.again(body).empty());
        std::string header = message.frames[0];
        header[at % header.size()] = static_cast<char>(header[at % header.size()] ^ flip);
        (void)decode_header(header);
        (void)id_of(header);
      }
    }
  }
}

}  // namespace
}  // namespace windlass::proto
