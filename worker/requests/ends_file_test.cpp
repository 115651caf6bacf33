#include "worker/requests/ends_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

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

  EndsFile opened(const EndsFile::Limits& limits = {}) {
    auto file = EndsFile::open(path, limits);
    if (!file) throw std::runtime_error(file.error());
    return std::move(*file);
  }
  // So many others begin, and end with a result of so many bytes, none where it is 0.
  static void end_some(EndsFile&& file, std::size_t count, std::size_t bytes = 0) { end_some(file, count, bytes); }
  static void end_some(EndsFile& file, std::size_t count, std::size_t bytes = 0) {
    static std::uint64_t number = 1;
    for (std::size_t i = 0; i < count; ++i) {
      const proto::RequestId id = numbered(number++);
      file.began(id, kOther);
      file.ended(id, std::string(bytes, 'x'));
    }
  }
  static proto::RequestId numbered(std::uint64_t number) {
    proto::RequestId id;
    std::memcpy(id.bytes.data(), &number, sizeof number);
    return id;
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

// As a file has it.
std::string record(std::string_view magic, char id, std::string_view content) {
  const std::string name(16, id);
  const auto size = static_cast<std::uint32_t>(content.size());
  std::uint32_t check = 2166136261U;
  for (const char byte : name + std::string(content)) check = (check ^ static_cast<unsigned char>(byte)) * 16777619U;
  std::string bytes(magic);
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(name);
  return bytes.append(reinterpret_cast<const char*>(&check), sizeof check).append(content);
}

// As versions before payloads were kept have left it; its ids are carried over, too.
TEST_F(EndsFileTest, AFileOfAnEarlierVersionIsRead) {
  std::ofstream(path, std::ios::binary) << record("END1", 'a', "") << record("END1", 'b', "")
                                        << record("END1", 'a', "end of a");
  end_some(opened({.records = 1}), 5);
  const auto earlier = opened().take_earlier();
  ASSERT_EQ(earlier.size(), 7U);
  EXPECT_EQ(earlier[0].id, id_of('a'));
  EXPECT_FALSE(earlier[0].payload);
  EXPECT_EQ(earlier[1].id, id_of('b'));
  EXPECT_FALSE(earlier[1].result);
  EXPECT_FALSE(earlier[1].payload);
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
    for (std::uint64_t i = 0; i < 3 * kAnswersMax + 10; ++i) {
      file.began(numbered(i), kOne);
      file.ended(numbered(i), "");
    }
    file.began(id_of('z'), kOne);
    file.ended(id_of('z'), std::string(kEndBytesMax + 1, 'x'));
  }
  EXPECT_LE(std::filesystem::file_size(path) + std::filesystem::file_size(path + ".old"),
            2 * 2 * kAnswersMax * (28 + sizeof(Payload)));
  const auto earlier = opened().take_earlier();
  EXPECT_GE(earlier.size(), kAnswersMax);
  EXPECT_LE(earlier.size(), 3 * kAnswersMax);
  EXPECT_EQ(earlier.back().id, id_of('z'));
  EXPECT_EQ(earlier[earlier.size() - 2].id, numbered(3 * kAnswersMax + 9));
}

bool runs(const std::vector<EndsFile::Earlier>& earlier, const proto::RequestId& id, const Payload& payload) {
  return std::any_of(earlier.begin(), earlier.end(), [&](const EndsFile::Earlier& each) {
    return each.id == id && each.payload == payload && !each.result;
  });
}

// However many others begin and end beside it, and however much they have to say.
TEST_F(EndsFileTest, WhatRunsLongIsKnownWhateverEndsMeanwhile) {
  const EndsFile::Limits kinds[] = {{.records = 8, .bytes = 1 << 20}, {.records = 1000, .bytes = 4096}, {.records = 1}};
  for (const EndsFile::Limits& limits : kinds) {
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".old");
    {
      EndsFile file = opened(limits);
      file.began(id_of('l'), kOne);
      end_some(file, 100, 300);
    }
    for (int process = 0; process < 3; ++process) {
      EndsFile file = opened(limits);
      const auto earlier = file.take_earlier();
      EXPECT_TRUE(runs(earlier, id_of('l'), kOne)) << "in process " << process;
      EXPECT_EQ(earlier.size(), 101U + 100U * static_cast<unsigned>(process)) << "those that have ended, too";
      end_some(file, 100, 300);
    }
  }
}

// A process that dies while it turns leaves one of these behind.
TEST_F(EndsFileTest, ATurnThatWasCutShortLosesNothing) {
  {
    EndsFile file = opened({.records = 4});
    file.began(id_of('l'), kOne);
    end_some(file, 2, 10);
  }
  const std::string whole = [&] {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  std::ofstream(path + ".new", std::ios::binary) << whole.substr(0, whole.size() / 2);
  EXPECT_TRUE(runs(opened().take_earlier(), id_of('l'), kOne)) << "while the new one is written";
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::ofstream(path + ".new", std::ios::binary) << whole;
  std::filesystem::rename(path, path + ".old");
  {
    EndsFile file = opened({.records = 4});
    EXPECT_TRUE(runs(file.take_earlier(), id_of('l'), kOne)) << "between the two names";
    end_some(file, 20, 10);
  }
  EXPECT_TRUE(runs(opened().take_earlier(), id_of('l'), kOne));
  EXPECT_EQ(opened().set_aside(), 0U);
}

TEST_F(EndsFileTest, WhereNoNewFileCanBeMadeTheOldOneGoesOn) {
  {
    EndsFile file = opened({.records = 4});
    file.began(id_of('l'), kOne);
    std::filesystem::create_directories(path + ".new/in the way");
    end_some(file, 20, 10);
    EXPECT_FALSE(std::filesystem::exists(path + ".old"));
    std::filesystem::remove_all(path + ".new");
    end_some(file, 20, 10);
    EXPECT_TRUE(std::filesystem::exists(path + ".old"));
  }
  const auto earlier = opened().take_earlier();
  EXPECT_EQ(earlier.size(), 41U);
  EXPECT_TRUE(runs(earlier, id_of('l'), kOne));
}

// What a process said had begun is known to the next, at whatever moment it is killed. It says so through a pipe.
TEST_F(EndsFileTest, AKillAtAnyMomentLosesNothingThatRuns) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (std::uint64_t process = 0; process < 12; ++process) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_GT(::fcntl(ends[1], F_SETPIPE_SZ, 4096), 0) << "so that it is not far ahead";
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      EndsFile file = opened({.records = 3});
      for (std::uint64_t number = process << 32U;; ++number) {
        file.began(numbered(number), kOne);
        if (::write(ends[1], &number, sizeof number) != sizeof number) ::_exit(1);
        if (number % 7 != 0) file.ended(numbered(number), "end");
      }
    }
    ::close(ends[1]);
    std::uint64_t number = 0;
    std::vector<std::uint64_t> said;
    const auto listen = [&] {
      if (::read(ends[0], &number, sizeof number) != sizeof number) return false;
      said.push_back(number);
      return true;
    };
    for (std::uint64_t wanted = 1 + random() % 100; said.size() < wanted && listen();) continue;
    ::kill(child, SIGKILL);
    while (listen()) continue;
    ::close(ends[0]);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const auto earlier = opened({.records = 3}).take_earlier();
    for (const std::uint64_t each : said) {
      ASSERT_TRUE(
          std::any_of(earlier.begin(), earlier.end(), [&](const auto& one) { return one.id == numbered(each); }))
          << "number " << (each & 0xFFFFFFFFU) << " of " << said.size() << " in process " << process;
    }
  }
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
