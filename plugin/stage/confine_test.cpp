// What a fault in the checks of paths could still reach: nothing, where the kernel has Landlock.
#include "plugin/stage/confine.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <thread>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

int try_to_open(const std::string& path, int flags = O_RDONLY) {
  const Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  return fd ? 0 : -errno;
}

bool kernel_confines() {
  int result = 0;
  std::thread([&] { result = confine_thread({}); }).join();
  return result == 0;
}

class Confine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kernel_confines()) GTEST_SKIP() << "no Landlock here";
    folder.write("root/file", "inside");
    folder.write("outside", "outside");
  }

  testing::Folder folder;
};

TEST_F(Confine, LeavesAThreadItsFoldersAndNothingElse) {
  int inside = -1, made = -1, outside = 0, new_outside = 0;
  const Fd root(::open(folder.at("root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::thread([&] {
    ASSERT_EQ(confine_thread({{root.get()}}), 0);
    inside = try_to_open(folder.at("root/file"));
    made = try_to_open(folder.at("root/new"), O_WRONLY | O_CREAT | O_EXCL);
    outside = try_to_open(folder.at("outside"));
    new_outside = try_to_open(folder.at("new"), O_WRONLY | O_CREAT | O_EXCL);
  }).join();
  EXPECT_EQ(inside, 0);
  EXPECT_EQ(made, 0);
  EXPECT_EQ(outside, -EACCES);
  EXPECT_EQ(new_outside, -EACCES);
  EXPECT_EQ(try_to_open(folder.at("outside")), 0) << "other threads keep their rights";
}

// Asks, on the stager's own threads, for what no transfer could name.
class CuriousFs final : public testing::FaultyFs {
 public:
  CuriousFs(testing::Faults& faults, std::string path) : FaultyFs(real_fs(), faults), path_(std::move(path)) {}
  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override {
    if (std::string_view(path) == "file") seen = try_to_open(path_);
    return FaultyFs::open(folder, path, flags, mode, resolve);
  }
  std::atomic<int> seen{1};

 private:
  const std::string path_;
};

Outcome stage_with(CuriousFs& fs, Options options, const testing::Folder& folder, std::uint64_t& confined) {
  options.roots = {folder.at("root")};
  options.owner = "test";
  auto stager = Stager::open(options, fs, "threads", [] { return make_plain_queue(); });
  if (!stager) throw std::runtime_error(stager.error().message);
  Transfer transfer = testing::transfer_of(folder.at("root/file"), folder.at("root/new/to"));
  transfer.checksum = {ChecksumKind::sha256, {}};
  transfer.durability = Durability::full;
  const Outcome outcome = testing::stage_one(**stager, std::move(transfer));
  confined = (*stager)->counters().confined_threads;
  return outcome;
}

TEST_F(Confine, HoldsTheThreadsThatFollowPathsOfRequests) {
  testing::Faults faults;
  std::uint64_t confined = 0;
  CuriousFs fs(faults, folder.at("outside"));
  const Outcome outcome = stage_with(fs, {}, folder, confined);
  EXPECT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_EQ(fs.seen, -EACCES);
  EXPECT_GE(confined, 1U);
}

TEST_F(Confine, CanBeSwitchedOff) {
  testing::Faults faults;
  std::uint64_t confined = 1;
  CuriousFs fs(faults, folder.at("outside"));
  Options options;
  options.confine = false;
  EXPECT_EQ(stage_with(fs, options, folder, confined).state, State::done);
  EXPECT_EQ(fs.seen, 0);
  EXPECT_EQ(confined, 0U);
}

TEST_F(Confine, LeavesTheJournalItsFolder) {
  Options options;
  options.roots = {folder.at("root")};
  options.state_path = folder.at("state");
  const auto stager = testing::open_stager("threads", options);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(testing::stage_one(*stager, folder.at("root/file"), folder.at("root/to")).state, State::done);
  EXPECT_GE(stager->counters().confined_threads, 1U);
}

}  // namespace
}  // namespace windlass::stage
