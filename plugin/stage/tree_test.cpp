#include "plugin/stage/tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/tree_run.hpp"

namespace windlass::stage {
namespace {

namespace fs = std::filesystem;

class TreeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    stager = testing::open_stager(GetParam());
  }
  Outcome stage(Transfer transfer) { return testing::stage_one(*stager, std::move(transfer)); }
  Transfer tree(const std::string& source = "from", const std::string& target = "to") const {
    return testing::transfer_of(folder.at(source), folder.at(target));
  }
  [[nodiscard]] mode_t mode(const std::string& name) const {
    struct stat info {};
    ::lstat(folder.at(name).c_str(), &info);
    return info.st_mode & 07777U;
  }
  static std::vector<std::string> paths(const Outcome& outcome) {
    std::vector<std::string> out;
    for (const Failure& failure : outcome.failures) out.push_back(failure.path);
    std::sort(out.begin(), out.end());
    return out;
  }

  testing::Folder folder;
  std::unique_ptr<Stager> stager;
};

TEST_P(TreeTest, BringsEverythingBeneath) {
  std::uint64_t bytes = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string content = testing::noise(static_cast<std::size_t>(i) * 17, static_cast<std::uint32_t>(i));
    folder.write("from/d" + std::to_string(i % 7) + "/e/f" + std::to_string(i), content);
    bytes += content.size();
  }
  folder.write("from/large", testing::noise(6U << 20U));
  bytes += 6U << 20U;
  fs::create_directories(folder.at("from/empty"));
  ::chmod(folder.at("from/empty").c_str(), 0750);
  ::chmod(folder.at("from/d1").c_str(), 0555);
  const struct timespec times[2] = {{5, 0}, {1'000'000'000, 42}};
  ::utimensat(AT_FDCWD, folder.at("from/d2").c_str(), times, 0);
  for (const auto durability : {Durability::none, Durability::file, Durability::full}) {
    Transfer transfer = tree("from", "made/to" + std::to_string(static_cast<int>(durability)));
    transfer.durability = durability;
    transfer.checksum = {ChecksumKind::xxh3, {}};
    const Outcome outcome = stage(transfer);
    ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
    EXPECT_EQ(outcome.files, 301U);
    EXPECT_EQ(outcome.bytes, bytes);
    ASSERT_TRUE(outcome.file_checksums);
    EXPECT_EQ(outcome.file_checksums->size(), 301U);
    EXPECT_EQ(outcome.file_checksums->count("d3/e/f10"), 1U);
    const std::string top = "made/to" + std::to_string(static_cast<int>(durability));
    for (int i = 0; i < 300; ++i) {
      const std::string name = "/d" + std::to_string(i % 7) + "/e/f" + std::to_string(i);
      ASSERT_TRUE(folder.read(top + name) == folder.read("from" + name)) << name;
    }
    EXPECT_EQ(mode(top + "/empty"), 0750U);
    EXPECT_EQ(mode(top + "/d1"), 0555U);
    struct stat info {};
    ::stat(folder.at(top + "/d2").c_str(), &info);
    EXPECT_EQ(info.st_mtim.tv_nsec, 42);
  }
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(TreeTest, MergesAndNamesWhatIsInTheWay) {
  folder.write("from/a", "new a");
  folder.write("from/file/in", "a folder here");
  folder.write("from/folder", "a file here");
  folder.write("to/a", "old a");
  folder.write("to/b", "old b");
  folder.write("to/file", "a file there");
  folder.write("to/folder/x", "a folder there");
  ::mkfifo(folder.at("from/pipe").c_str(), 0600);
  folder.write("from/.windlass-x", "a temporary");
  const Outcome outcome = stage(tree());
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.error->code, Code::invalid_argument);
  EXPECT_EQ(paths(outcome), (std::vector<std::string>{"file", "folder", "pipe"}));
  EXPECT_EQ(outcome.failure_count, 3U);
  EXPECT_EQ(outcome.files, 1U);
  EXPECT_EQ(folder.read("to/a"), "new a");
  EXPECT_EQ(folder.read("to/b"), "old b");
  EXPECT_EQ(folder.read("to/file"), "a file there");
  EXPECT_EQ(folder.read("to/folder/x"), "a folder there");
  EXPECT_FALSE(folder.has("to/.windlass-x"));
}

TEST_P(TreeTest, TreatsLinksAsAsked) {
  folder.write("from/d/file", "bytes");
  fs::create_symlink("d/file", folder.at("from/inside"));
  fs::create_symlink("../inside", folder.at("from/d/up"));
  fs::create_symlink("none", folder.at("from/dangling"));
  fs::create_symlink("/etc", folder.at("from/absolute"));
  fs::create_symlink("../../x", folder.at("from/d/out"));
  Transfer transfer = tree();
  ASSERT_EQ(stage(transfer).state, State::done);
  EXPECT_EQ(fs::read_symlink(folder.at("to/absolute")), "/etc");
  EXPECT_EQ(fs::read_symlink(folder.at("to/dangling")), "none");
  EXPECT_EQ(stage(transfer).state, State::done) << "links replace links";
  transfer = tree("from", "skipped");
  transfer.symlinks = Symlinks::skip;
  ASSERT_EQ(stage(transfer).state, State::done);
  EXPECT_FALSE(folder.has("skipped/inside"));
  transfer = tree("from", "refused");
  transfer.symlinks = Symlinks::refuse;
  const Outcome outcome = stage(transfer);
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(paths(outcome), (std::vector<std::string>{"absolute", "d/out"}));
  EXPECT_EQ(fs::read_symlink(folder.at("refused/d/up")), "../inside");
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST(LinkLeaves, IsReadByName) {
  EXPECT_TRUE(link_leaves("/a", 3));
  EXPECT_TRUE(link_leaves("..", 0));
  EXPECT_FALSE(link_leaves("..", 1));
  EXPECT_FALSE(link_leaves("../a/../b", 1));
  EXPECT_TRUE(link_leaves("a/../..", 0));
  EXPECT_FALSE(link_leaves("./a//b/.", 0));
}

TEST_P(TreeTest, PublishesAllAtOnceOrNothing) {
  folder.write("from/a", "new");
  folder.write("to/old", "old");
  Transfer transfer = tree();
  transfer.tree_atomic = true;
  Outcome outcome = stage(transfer);
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_EQ(folder.read("to/a"), "new");
  EXPECT_FALSE(folder.has("to/old")) << "exchanged, then removed";
  ::mkfifo(folder.at("from/pipe").c_str(), 0600);
  folder.write("from/a", "newer");
  outcome = stage(transfer);
  EXPECT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.files, 0U);
  EXPECT_EQ(folder.read("to/a"), "new");
  EXPECT_TRUE(folder.leftovers().empty());
  transfer = tree("from", "fresh");
  transfer.tree_atomic = true;
  EXPECT_EQ(stage(transfer).state, State::failed);
  EXPECT_FALSE(folder.has("fresh"));
}

TEST_P(TreeTest, RefusesWhatCannotBe) {
  folder.write("from/in/a", "a");
  folder.write("file", "f");
  Transfer transfer = tree();
  transfer.size = 1;
  EXPECT_EQ(stage(transfer).error->code, Code::invalid_argument);
  transfer = tree();
  transfer.checksum = {ChecksumKind::md5, std::string(32, '0')};
  EXPECT_EQ(stage(transfer).error->code, Code::invalid_argument);
  EXPECT_EQ(stage(tree("from", "from")).error->code, Code::invalid_argument);
  EXPECT_EQ(stage(tree("from", "from/in/new/deep")).error->code, Code::invalid_argument);
  EXPECT_EQ(stage(tree("from", "file")).error->code, Code::invalid_argument);
  EXPECT_FALSE(folder.has("from/in/new"));
  transfer = tree("from/in", "from");
  transfer.tree_atomic = true;
  EXPECT_EQ(stage(transfer).error->code, Code::invalid_argument) << "the source would be removed";
  EXPECT_EQ(folder.read("from/in/a"), "a");
}

TEST_P(TreeTest, TellsTheFirstHundredFailures) {
  for (int i = 0; i < 150; ++i) {
    fs::create_directories(folder.at("from"));
    ::mkfifo(folder.at("from/p" + std::to_string(i)).c_str(), 0600);
  }
  const Outcome outcome = stage(tree());
  EXPECT_EQ(outcome.failures.size(), 100U);
  EXPECT_EQ(outcome.failure_count, 150U);
}

TEST_P(TreeTest, IsCancelledBetweenFiles) {
  Options options;
  options.bandwidth_max = 1U << 20U;
  stager = testing::open_stager(GetParam(), options);
  for (int i = 0; i < 64; ++i)
    folder.write("from/d" + std::to_string(i % 8) + "/" + std::to_string(i), testing::noise(50'000));
  for (const bool whole : {false, true}) {
    Transfer transfer = tree("from", whole ? "whole" : "to");
    transfer.tree_atomic = whole;
    const auto call = testing::submit_one(*stager, transfer);
    ASSERT_TRUE(testing::eventually([&] { return call->progress().bytes_done > 200'000; }));
    EXPECT_TRUE(stager->cancel(call));
    call->wait(std::nullopt);
    EXPECT_EQ(call->outcome(0).state, State::cancelled);
    EXPECT_TRUE(folder.leftovers().empty());
  }
  EXPECT_FALSE(folder.has("whole"));
}

TEST_P(TreeTest, WhichFailureIsTheFirstIsASettledThing) {
  for (int i = 0; i < 300; ++i) {
    folder.write("from/d" + std::to_string(i % 9) + "/f" + std::to_string(i), "bytes");
    fs::create_directories(folder.at("to/d" + std::to_string(i % 9) + "/f" + std::to_string(i)));
  }
  fs::remove(folder.at("from/d0/f0"));
  ::mkfifo(folder.at("from/d0/f0").c_str(), 0600);
  const Outcome outcome = stage(tree());
  ASSERT_EQ(outcome.failures.size(), kFailuresTold);
  EXPECT_EQ(outcome.failure_count, 300U);
  EXPECT_EQ(outcome.failures[0].path, "d0/f0");
  EXPECT_TRUE(std::is_sorted(outcome.failures.begin(), outcome.failures.end(),
                             [](const Failure& a, const Failure& b) { return a.path < b.path; }));
  EXPECT_EQ(outcome.failures.back().path, "d2/f74");
  EXPECT_TRUE(PathOrder()("a/z", "a-b/c"));
  EXPECT_TRUE(PathOrder()("a", "a/b"));
}

TEST_P(TreeTest, TellsChecksumsOfWhatIsPublishedOnly) {
  folder.write("from/a", "bytes");
  ::mkfifo(folder.at("from/b").c_str(), 0600);
  Transfer transfer = tree();
  transfer.checksum = {ChecksumKind::xxh3, {}};
  EXPECT_EQ(stage(transfer).file_checksums->size(), 1U);
  transfer.tree_atomic = true;
  EXPECT_FALSE(stage(transfer).file_checksums);
  transfer.tree_atomic = false;
  transfer.target = *parse_place(folder.at("from/in"));
  EXPECT_FALSE(stage(transfer).file_checksums) << "it was refused";
}

// Root may do everything, so another user does it.
TEST_P(TreeTest, AFolderThatMayNotBeReadIsNotLeftBehind) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "tsan bears no new threads in a forked child";
#endif
  constexpr uid_t kNobody = 65534;
  folder.write("from/closed/f", "bytes");
  folder.write("from/open/f", "bytes");
  fs::create_directories(folder.at("out"));
  for (const char* name : {"", "from", "from/open", "from/open/f", "from/closed", "out"})
    ASSERT_EQ(::chown(folder.at(name).c_str(), kNobody, kNobody), 0);
  ::chmod(folder.at("from/closed").c_str(), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setuid(kNobody) != 0) ::_exit(2);
    Transfer transfer = tree("from", "out/to");
    transfer.tree_atomic = true;
    const Outcome outcome = testing::stage_one(*testing::open_stager(GetParam()), transfer);
    ::_exit(outcome.state == State::failed && outcome.error->code == Code::permission_denied ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(fs::is_empty(folder.at("out")));
}

TEST_P(TreeTest, TellsTotalsAndWhatIsDoneAsItGoes) {
  for (int i = 0; i < 10; ++i) folder.write("from/d/" + std::to_string(i), testing::noise(100'000));
  Options options;
  options.bandwidth_max = 1U << 20U;
  const auto slow = testing::open_stager(GetParam(), options);
  const auto call = testing::submit_one(*slow, tree());
  EXPECT_TRUE(testing::eventually([&] { return call->progress().bytes_done > 100'000; }));
  const Progress progress = call->progress();
  EXPECT_LT(progress.bytes_done, 900'000U);
  EXPECT_EQ(progress.bytes_total, 1'000'000);
  EXPECT_EQ(progress.files_total, 10);
  call->wait(std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Engines, TreeTest, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
