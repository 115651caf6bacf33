// Results back, with durability `full`: the bytes before the name, the name and each folder above it before `done`.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

// Notes in order which names were made, and what was synced, by the file or folder it was.
class DiaryFs final : public testing::FaultyFs {
 public:
  explicit DiaryFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}
  enum class What : std::uint8_t { named, synced, synced_all };
  struct Entry {
    What what;
    FileKey key;  // of the folder of the name, or of what was synced
  };

  int make_folder(int folder, const char* name, mode_t mode) override {
    note(What::named, folder);
    return FaultyFs::make_folder(folder, name, mode);
  }
  int make_link(const char* text, int folder, const char* name) override {
    note(What::named, folder);
    return FaultyFs::make_link(text, folder, name);
  }
  int rename(int folder, const char* from, const char* to, unsigned flags) override {
    note(What::named, folder);
    return FaultyFs::rename(folder, from, to, flags);
  }
  int sync(int fd) override {
    const int result = FaultyFs::sync(fd);
    if (result == 0) note(What::synced, fd);
    return result;
  }
  int sync_all(int fd) override {
    const int result = FaultyFs::sync_all(fd);
    if (result == 0) note(What::synced_all, fd);
    return result;
  }
  std::vector<Entry> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(entries_, {});
  }

 private:
  void note(What what, int fd) {
    FileInfo info;
    real_fs().info(fd, info);
    const std::lock_guard lock(mutex_);
    entries_.push_back({what, info.key});
  }
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

class Results : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    stager = testing::open_stager(GetParam(), {}, fs);
    std::filesystem::create_directories(folder.at("shared"));
  }
  Transfer result(const std::string& source, const std::string& target) const {
    Transfer transfer = testing::transfer_of(folder.at(source), folder.at(target));
    transfer.kind = Kind::result;
    transfer.durability = Durability::full;
    return transfer;
  }
  [[nodiscard]] FileKey key(const std::string& name) const {
    FileInfo info;
    EXPECT_EQ(real_fs().info(AT_FDCWD, folder.at(name).c_str(), info), 0) << name;
    return info.key;
  }
  void make_tree() const {
    for (int i = 0; i < 40; ++i)
      folder.write("out/d" + std::to_string(i % 4) + "/e/f" + std::to_string(i), testing::noise(100 + i));
    folder.write("out/large", testing::noise(6U << 20U));
    std::filesystem::create_directories(folder.at("out/empty"));
    std::filesystem::create_symlink("large", folder.at("out/link"));
  }
  // Each folder that got a name was synced after its last one, by itself or with all of its file system.
  static void all_names_are_synced(const std::vector<DiaryFs::Entry>& diary) {
    std::set<FileKey> open;
    for (const DiaryFs::Entry& entry : diary) {
      if (entry.what == DiaryFs::What::named) open.insert(entry.key);
      if (entry.what == DiaryFs::What::synced) open.erase(entry.key);
      if (entry.what == DiaryFs::What::synced_all)
        std::erase_if(open, [&](const FileKey& key) { return key.device == entry.key.device; });
    }
    EXPECT_TRUE(open.empty()) << open.size() << " folders hold names that are not synced";
  }

  testing::Folder folder;
  testing::Faults faults;
  DiaryFs fs{faults};
  std::unique_ptr<Stager> stager;
};

TEST_P(Results, AFilesBytesAreSyncedThenItsNameThenEachFolderUpToTheFirstOldOne) {
  folder.write("out", testing::noise(3U << 20U));
  const Outcome outcome = testing::stage_one(*stager, result("out", "shared/job/7/out"));
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  const auto diary = fs.take();
  all_names_are_synced(diary);
  std::size_t renamed = 0;  // the last name given
  for (std::size_t i = 0; i < diary.size(); ++i)
    if (diary[i].what == DiaryFs::What::named) renamed = i;
  ASSERT_GT(renamed, 0U);
  EXPECT_EQ(diary[renamed].key, key("shared/job/7"));
  EXPECT_EQ(diary[renamed - 1].what, DiaryFs::What::synced) << "the bytes come before the name";
  EXPECT_EQ(diary[renamed - 1].key, key("shared/job/7/out")) << "a rename keeps the file";
  std::vector<FileKey> after;
  for (std::size_t i = renamed + 1; i < diary.size(); ++i) after.push_back(diary[i].key);
  EXPECT_EQ(after, (std::vector<FileKey>{key("shared/job/7"), key("shared/job"), key("shared")})) << "upwards";
}

TEST_P(Results, ManyFilesOfOneCallToo) {
  Request request;
  for (int i = 0; i < 50; ++i) {
    const std::string name = std::to_string(i);
    folder.write("out/" + name, testing::noise(1000 + i));
    request.transfers.push_back(result("out/" + name, "shared/" + std::to_string(i % 5) + "/new/" + name));
  }
  auto call = stager->submit(std::move(request), "", 0);
  ASSERT_TRUE(call);
  (*call)->wait(std::nullopt);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ((*call)->outcome(i).state, State::done) << (*call)->outcome(i).error->message;
    EXPECT_EQ(folder.read("shared/" + std::to_string(i % 5) + "/new/" + std::to_string(i)), testing::noise(1000 + i));
  }
  all_names_are_synced(fs.take());
}

TEST_P(Results, ATreeOntoNothingIntoAFolderAndAsAWhole) {
  make_tree();
  folder.write("shared/there/old", "old");
  for (const char* target : {"shared/fresh/tree", "shared/there", "shared/whole/tree", "shared/whole/tree"}) {
    Transfer transfer = result("out", target);
    transfer.tree_atomic = std::string_view(target).starts_with("shared/whole");
    const Outcome outcome = testing::stage_one(*stager, transfer);
    ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
    EXPECT_EQ(outcome.files, 41U);
    all_names_are_synced(fs.take());
    for (int i = 0; i < 40; ++i) {
      const std::string name = "/d" + std::to_string(i % 4) + "/e/f" + std::to_string(i);
      ASSERT_EQ(folder.read(target + name), testing::noise(100 + i));
    }
    EXPECT_TRUE(folder.has(std::string(target) + "/empty"));
    EXPECT_EQ(std::filesystem::read_symlink(folder.at(std::string(target) + "/link")), "large");
  }
  EXPECT_EQ(folder.read("shared/there/old"), "old");
  EXPECT_TRUE(folder.leftovers().empty());
}

// At each step in turn: done is said of nothing whose folders could not be synced.
TEST_P(Results, AreNotDoneWhereASyncFails) {
  folder.write("out", "bytes");
  std::uint64_t failed = 0;
  std::uint64_t at = 1;
  for (bool struck = true; struck; ++at) {
    std::filesystem::remove_all(folder.at("shared/job"));
    fs.take();
    faults.fail_at(at, EIO);
    const Outcome outcome = testing::stage_one(*stager, result("out", "shared/job/7/out"));
    struck = faults.count() >= at;
    faults.fail_at(0, 0);
    if (outcome.state == State::done)
      all_names_are_synced(fs.take());
    else
      ++failed;
  }
  EXPECT_GT(failed, 15U);
}

INSTANTIATE_TEST_SUITE_P(Engines, Results, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
