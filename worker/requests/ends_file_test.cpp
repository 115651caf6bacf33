#include "worker/requests/ends_file.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "worker/core/limits.hpp"
#include "worker/requests/journal.hpp"
#include "worker/testing.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;
using namespace testing;

constexpr Payload kOne{1, 2};
constexpr Payload kOther{3, 4};

class EndsFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "endsXXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    path = folder + "/ends";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  EndsFile opened() {
    auto file = EndsFile::open(path);
    if (!file) throw std::runtime_error(file.error());
    return std::move(*file);
  }
  static Answer result(const std::string& body) { return {proto::Type::result, proto::Code::ok, {Frame(body)}}; }

  std::string folder;
  std::string path;
};

TEST_F(EndsFileTest, TellsTheNextProcessWhatBeganAndHowItEnded) {
  {
    EndsFile file = opened();
    EXPECT_TRUE(file.take_earlier().empty());
    file.began(id_of('a'), kOne);
    file.began(id_of('b'), kOne);
    file.ended(id_of('a'), "end of a");
  }
  const auto earlier = opened().take_earlier();
  ASSERT_EQ(earlier.size(), 2U);
  EXPECT_EQ(earlier[0].id, id_of('a'));
  EXPECT_EQ(earlier[0].result, "end of a");
  EXPECT_EQ(earlier[1].id, id_of('b'));
  EXPECT_FALSE(earlier[1].result);
  EXPECT_EQ(earlier[0].payload, kOne) << "and what it asked for";
  EXPECT_EQ(earlier[1].payload, kOne);
}

// As versions before payloads were kept have left it.
TEST_F(EndsFileTest, AFileOfAnEarlierVersionIsRead) {
  std::string record("END1\0\0\0\0aaaaaaaaaaaaaaaa", 24);
  std::uint32_t check = 2166136261U;
  for (int i = 0; i < 16; ++i) check = (check ^ 'a') * 16777619U;
  record.append(reinterpret_cast<const char*>(&check), sizeof check);
  std::ofstream(path, std::ios::binary) << record;
  opened().ended(id_of('a'), "end of a");
  const auto earlier = opened().take_earlier();
  ASSERT_EQ(earlier.size(), 1U);
  EXPECT_EQ(earlier[0].id, id_of('a'));
  EXPECT_EQ(earlier[0].result, "end of a");
  EXPECT_FALSE(earlier[0].payload);
}

TEST_F(EndsFileTest, ATornRecordIsCutOffAndWhatFollowsIsRead) {
  opened().began(id_of('a'), kOne);
  std::ofstream(path, std::ios::app) << "END1 torn";
  {
    EndsFile file = opened();
    EXPECT_EQ(file.set_aside(), 1U);
    file.began(id_of('b'), kOne);
  }
  EndsFile file = opened();
  EXPECT_EQ(file.take_earlier().size(), 2U);
  EXPECT_EQ(file.set_aside(), 0U);
  EXPECT_TRUE(std::filesystem::exists(path + ".aside-1"));
}

TEST_F(EndsFileTest, IsBoundedAndKeepsTheLatest) {
  {
    EndsFile file = opened();
    for (std::size_t i = 0; i < 3 * kAnswersMax + 10; ++i) {
      proto::RequestId id;
      std::memcpy(id.bytes.data(), &i, sizeof i);
      file.began(id, kOne);
    }
    file.ended(id_of('z'), std::string(kEndBytesMax + 1, 'x'));
  }
  EXPECT_LE(std::filesystem::file_size(path) + std::filesystem::file_size(path + ".old"),
            2 * kAnswersMax * (28 + sizeof(Payload)));
  const auto earlier = opened().take_earlier();
  EXPECT_EQ(earlier.size(), kAnswersMax + 10);
  std::size_t last = 0;
  std::memcpy(&last, earlier.back().id.bytes.data(), sizeof last);
  EXPECT_EQ(last, 3 * kAnswersMax + 9);
}

TEST_F(EndsFileTest, AJournalAnswersForTheProcessBeforeIt) {
  Time now = Time{} + 1h;
  {
    Journal before;
    before.remember(opened(), now);
    before.began(id_of('a'), kOne);
    before.began(id_of('b'), kOne);
    before.put(id_of('a'), result("end of a"), kOne, now);
    before.put(id_of('m'), result("of a match"), kOther, now);
  }
  Journal after;
  after.remember(opened(), now);
  ASSERT_TRUE(after.find(id_of('a')));
  EXPECT_EQ(after.find(id_of('a'))->answer.frames.at(0).view(), "end of a");
  ASSERT_TRUE(after.find(id_of('b')));
  EXPECT_EQ(after.find(id_of('b'))->answer.code, proto::Code::not_found) << "it is not begun again";
  EXPECT_EQ(after.find(id_of('a'))->payload, kOne);
  EXPECT_EQ(after.find(id_of('b'))->payload, kOne);
  EXPECT_FALSE(after.find(id_of('m'))) << "a match may be computed again";
  after.sweep(now + kAnswerKeep + 1s);
  ASSERT_TRUE(after.find(id_of('a')));
  EXPECT_EQ(after.find(id_of('a'))->answer.code, proto::Code::not_found);
}

}  // namespace
}  // namespace windlass::worker
