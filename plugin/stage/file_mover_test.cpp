// Which way the bytes of a file take: around the page cache, through it, or not through this machine at all.
#include "plugin/stage/file_mover.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

TEST(Space, TellsDisksFromServersByTheirNumber) {
  const auto kind_of = [](std::uint64_t magic) {
    Space space;
    set_kind(space, magic);
    return std::string(space.local_disk ? "disk" : "") + (space.server_copies ? "server" : "") +
           (space.kernel_view ? "view" : "");
  };
  for (const std::uint64_t disk : {0xEF53U, 0x58465342U, 0x9123683EU, 0xF2F52010U}) EXPECT_EQ(kind_of(disk), "disk");
  for (const std::uint64_t server : {0x6969U, 0xFE534D42U, 0xFF534D42U, 0x00C36400U})
    EXPECT_EQ(kind_of(server), "server");
  constexpr std::uint64_t kFuse = 0x65735546;
  for (const std::uint64_t other : std::initializer_list<std::uint64_t>{TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC, kFuse})
    EXPECT_EQ(kind_of(other), "");
  EXPECT_EQ(kind_of(PROC_SUPER_MAGIC), "view");
}

// Some folders are said to lie on another kind of file system than they do.
class PretendingFs final : public testing::FaultyFs {
 public:
  explicit PretendingFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}

  int space(int fd, Space& space) override {
    const int result = FaultyFs::space(fd, space);
    if (on_server) set_kind(space, NFS_SUPER_MAGIC);
    if (is(fd, not_local)) set_kind(space, TMPFS_MAGIC);
    return result;
  }
  int set_flags(int fd, int flags) override {
    if ((flags & O_DIRECT) != 0) ++(is(fd, not_local) ? direct_there : direct_elsewhere);
    return FaultyFs::set_flags(fd, flags);
  }
  std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) override {
    const std::uint64_t nth = ++copies;
    if (before_copy) before_copy(nth);
    largest = std::max<std::uint64_t>(largest, bytes);
    if (nth >= refuses_from) return -refuses_by;
    return FaultyFs::copy_range(from, from_at, to, to_at, std::min(bytes, bytes_max));
  }

  bool on_server = false;
  std::string not_local;  // beneath this folder
  std::atomic<int> direct_there{0}, direct_elsewhere{0};
  std::atomic<std::uint64_t> copies{0}, largest{0};
  std::uint64_t bytes_max = 100'000;
  std::uint64_t refuses_from = UINT64_MAX;
  int refuses_by = 0;
  std::function<void(std::uint64_t)> before_copy;

 private:
  static bool is(int fd, const std::string& folder) {
    if (folder.empty()) return false;
    char path[4096];
    const auto bytes = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    return bytes > 0 && std::string_view(path, static_cast<std::size_t>(bytes)).starts_with(folder + "/");
  }
};

class Ways : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    open();
    folder.write("here/from", content);
  }
  void open(Options options = {}) { stager = testing::open_stager(GetParam(), std::move(options), fs); }
  Outcome stage(const std::string& source = "here/from", const std::string& target = "here/to") {
    return testing::stage_one(*stager, folder.at(source), folder.at(target));
  }
  [[nodiscard]] bool ring() const { return GetParam() == std::string("uring"); }

  const std::string content = testing::noise((2U << 20U) + 777);
  testing::Folder folder;
  testing::Faults faults;
  PretendingFs fs{faults};
  std::unique_ptr<Stager> stager;
};

TEST_P(Ways, NoDirectRequestGoesWhereNoLocalDiskIs) {
  Space space;
  const Fd probe(::open(folder.at("").c_str(), O_RDONLY | O_CLOEXEC));
  const bool disk = real_fs().space(probe.get(), space) == 0 && space.local_disk;
  fs.not_local = folder.at("there");
  folder.write("there/from", content);
  struct Case {
    const char *from, *to;
    std::uint64_t fallbacks;
  };
  for (const Case& one : {Case{"here/from", "here/to", 0}, Case{"there/from", "here/to2", 1},
                          Case{"here/from", "there/to", 1}, Case{"there/from", "there/to2", 1}}) {
    const std::uint64_t before = stager->counters().fallbacks_direct;
    ASSERT_EQ(stage(one.from, one.to).state, State::done);
    EXPECT_TRUE(folder.read(one.to) == content);
    if (disk || one.fallbacks > 0) {
      EXPECT_EQ(stager->counters().fallbacks_direct - before, ring() ? one.fallbacks : 0U) << one.from << one.to;
    }
  }
  EXPECT_EQ(fs.direct_there.load(), 0);
  if (disk) {
    EXPECT_EQ(fs.direct_elsewhere > 0, ring()) << "a thread by itself has nothing to overlap";
  }
}

TEST_P(Ways, SmallFilesCountAsNoFallback) {
  fs.not_local = folder.at("there");
  folder.write("there/small", testing::noise(kDirectBytesMin - 1));
  ASSERT_EQ(stage("there/small", "here/to").state, State::done);
  EXPECT_EQ(stager->counters().fallbacks_direct, 0U);
}

TEST_P(Ways, ALocalDiskIsNeverAskedToCopyByItself) {
  ASSERT_EQ(stage().state, State::done);
  EXPECT_EQ(fs.copies.load(), 0U);
}

TEST_P(Ways, AServerCopiesWithinItself) {
  fs.on_server = true;
  const Outcome outcome = stage();
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_TRUE(folder.read("here/to") == content);
  EXPECT_EQ(fs.copies.load(), (content.size() + fs.bytes_max - 1) / fs.bytes_max) << "what is short is gone on with";
  EXPECT_EQ(outcome.engine, GetParam());
  Transfer part = testing::transfer_of(folder.at("here/from"), folder.at("here/part"));
  part.range = {1001, 1'000'003};
  ASSERT_EQ(testing::stage_one(*stager, part).state, State::done);
  EXPECT_TRUE(folder.read("here/part") == content.substr(1001, 1'000'003));
}

TEST_P(Ways, WhatAServerCopiedIsReadBackForItsChecksum) {
  fs.on_server = true;
  Transfer transfer = testing::transfer_of(folder.at("here/from"), folder.at("here/to"));
  transfer.checksum = {ChecksumKind::xxh3, {}};
  const Outcome outcome = testing::stage_one(*stager, transfer);
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  const auto truth = make_hasher(ChecksumKind::xxh3);
  truth->add(content.data(), content.size());
  EXPECT_EQ(outcome.checksum, "xxh3:" + truth->hex());
  transfer.checksum->expected = truth->hex();
  transfer.target = *parse_place(folder.at("here/wrong"));
  fs.before_copy = [&](std::uint64_t) {  // the server does it wrong: the target is there already, and has other bytes
    for (const std::string& temporary : folder.leftovers()) ASSERT_EQ(::truncate(temporary.c_str(), 0), 0);
  };
  EXPECT_EQ(testing::stage_one(*stager, transfer).error->code, Code::data_loss);
  EXPECT_FALSE(folder.has("here/wrong"));
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(Ways, WhereAServerRefusesAtAnyPointItIsCopiedHere) {
  fs.on_server = true;
  for (const int error : {EOPNOTSUPP, EXDEV, EINVAL, ENOSYS, EPERM, 0}) {
    fs.refuses_by = error;
    for (fs.refuses_from = 1; fs.refuses_from < 4; ++fs.refuses_from) {
      fs.copies = 0;
      const auto call =
          testing::submit_one(*stager, testing::transfer_of(folder.at("here/from"), folder.at("here/to")));
      call->wait(std::nullopt);
      ASSERT_EQ(call->outcome(0).state, State::done) << error << ": " << call->outcome(0).error->message;
      ASSERT_TRUE(folder.read("here/to") == content) << error;
      EXPECT_EQ(fs.copies.load(), fs.refuses_from);
      EXPECT_EQ(call->progress().bytes_done, content.size()) << "bytes copied twice count once";
    }
  }
  fs.refuses_by = EIO;
  fs.refuses_from = 2;
  fs.copies = 0;
  EXPECT_EQ(stage("here/from", "here/torn").error->code, Code::data_loss);
  EXPECT_FALSE(folder.has("here/torn"));
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(Ways, ASourceThatChangesWhileAServerCopiesIsReadAgain) {
  fs.on_server = true;
  const std::string other = testing::noise(content.size(), 2);
  fs.before_copy = [&](std::uint64_t nth) {
    if (nth == 3) folder.write("here/from", other);
  };
  const Outcome outcome = stage();
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_EQ(outcome.retries, 1U);
  EXPECT_TRUE(folder.read("here/to") == other);
}

TEST_P(Ways, HolesAreKeptAndLimitsHoldOnAServerToo) {
  fs.on_server = true;
  folder.write("here/holes", "x");
  ASSERT_EQ(::truncate(folder.at("here/holes").c_str(), 8 << 20), 0);
  ASSERT_EQ(stage("here/holes", "here/kept").state, State::done);
  struct stat info {};
  ASSERT_EQ(::stat(folder.at("here/kept").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 8 << 20);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
  EXPECT_EQ(fs.copies.load(), 0U);
  Options options;
  options.bandwidth_max = 8U << 20U;
  open(options);
  const auto call = testing::submit_one(*stager, testing::transfer_of(folder.at("here/from"), folder.at("here/to")));
  call->wait(std::nullopt);
  EXPECT_EQ(call->outcome(0).state, State::done);
  EXPECT_GT(fs.largest.load(), 0U);
  EXPECT_LE(fs.largest.load(), (8U << 20U) / 16);
}

TEST_P(Ways, ACopyByAServerCanBeCancelled) {
  fs.on_server = true;
  std::shared_ptr<Call> call;
  std::atomic<bool> known{false};
  fs.before_copy = [&](std::uint64_t nth) {
    if (nth == 3 && testing::eventually([&] { return known.load(); })) stager->cancel(call);
  };
  call = testing::submit_one(*stager, testing::transfer_of(folder.at("here/from"), folder.at("here/to")));
  known = true;
  call->wait(std::nullopt);
  EXPECT_EQ(call->outcome(0).state, State::cancelled);
  EXPECT_EQ(fs.copies.load(), 3U);
  EXPECT_FALSE(folder.has("here/to"));
  EXPECT_TRUE(folder.leftovers().empty());
}

INSTANTIATE_TEST_SUITE_P(Engines, Ways, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
