// Many small files in one call: one sync serves them, and none has its name before it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

// Notes in order what makes names and what makes them last.
class NotingFs final : public testing::FaultyFs {
 public:
  explicit NotingFs(testing::Faults& faults) : FaultyFs(real_fs(), faults) {}
  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override {
    if ((flags & O_CREAT) != 0) note('c');
    return FaultyFs::open(folder, path, flags, mode, resolve);
  }
  int rename(int folder, const char* from, const char* to, unsigned flags) override {
    note('r');
    return FaultyFs::rename(folder, from, to, flags);
  }
  int sync(int fd) override {
    note('f');
    return FaultyFs::sync(fd);
  }
  int sync_all(int fd) override {
    note('s');
    return sync_all_answer != 0 ? sync_all_answer.load() : FaultyFs::sync_all(fd);
  }
  std::string noted() {
    const std::lock_guard lock(mutex_);
    return notes_;
  }
  std::atomic<int> sync_all_answer{0};

 private:
  void note(char what) {
    const std::lock_guard lock(mutex_);
    notes_ += what;
  }
  std::mutex mutex_;
  std::string notes_;
};

class FilesOfOneCall : public ::testing::Test {
 protected:
  void open(unsigned threads = 1) {
    Options options;
    options.threads = threads;
    stager = testing::open_stager("threads", options, fs, &faults);
  }

  Request files(int count, Durability durability = Durability::file) {
    Request request;
    for (int i = 0; i < count; ++i) {
      const std::string name = std::to_string(i);
      folder.write("from/" + name, testing::noise(100 + i));
      request.transfers.push_back(testing::transfer_of(folder.at("from/" + name), folder.at("to/d/" + name)));
      request.transfers.back().durability = durability;
    }
    return request;
  }

  std::shared_ptr<Call> run(Request request) {
    auto call = stager->submit(std::move(request), "", 0);
    if (!call) throw std::runtime_error(call.error().message);
    (*call)->wait(std::nullopt);
    return *call;
  }

  [[nodiscard]] std::size_t count(char what) { return static_cast<std::size_t>(std::ranges::count(fs.noted(), what)); }

  testing::Folder folder;
  testing::Faults faults;
  NotingFs fs{faults};
  std::unique_ptr<Stager> stager;
};

TEST_F(FilesOfOneCall, ShareTheirSyncs) {
  open(2);
  constexpr int kFiles = 300;
  const auto call = run(files(kFiles));
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_EQ(call->outcome(i).state, State::done) << call->outcome(i).error->message;
    EXPECT_EQ(call->outcome(i).bytes, 100U + i);
    EXPECT_EQ(folder.read("to/d/" + std::to_string(i)), testing::noise(100 + i));
  }
  EXPECT_LT(count('s') + count('f'), kFiles / 3);
  EXPECT_EQ(stager->counters().running, 0U);
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_F(FilesOfOneCall, HaveNoNameBeforeTheirSync) {
  open();
  run(files(20));
  const std::string noted = fs.noted();
  bool synced = true;
  for (const char what : noted) {
    if (what == 'c') synced = false;
    if (what == 's' || what == 'f') synced = true;
    EXPECT_TRUE(what != 'r' || synced) << noted;
  }
  EXPECT_EQ(count('r'), 20U);
}

TEST_F(FilesOfOneCall, HaveTheirFoldersSyncedWhereTheyAreToBe) {
  open();
  run(files(20, Durability::full));
  const std::string noted = fs.noted();
  EXPECT_TRUE(noted.ends_with("rs") || noted.ends_with("rsf")) << noted;
}

TEST_F(FilesOfOneCall, AreAbsentWhereTheSyncFails) {
  open();
  fs.sync_all_answer = -EIO;
  const auto call = run(files(20));
  std::size_t failed = 0;
  for (int i = 0; i < 20; ++i) {
    const Outcome& outcome = call->outcome(i);
    failed += outcome.state == State::failed && outcome.error->code == Code::data_loss ? 1 : 0;
    EXPECT_EQ(folder.has("to/d/" + std::to_string(i)), outcome.state == State::done);
  }
  EXPECT_GT(failed, 0U);
  EXPECT_TRUE(folder.leftovers().empty());
  fs.sync_all_answer = 0;
  EXPECT_EQ(testing::stage_one(*stager, folder.at("from/0"), folder.at("to/d/0")).state, State::done);
}

TEST_F(FilesOfOneCall, GoWhereTheCallIsCancelledBeforeTheirSync) {
  open();
  faults.stall_at(3);  // the read of the second, while the first waits for its sync
  auto call = stager->submit(files(2), "", 0);
  ASSERT_TRUE(call);
  ASSERT_TRUE(testing::eventually([&] { return faults.stalled(); }) || (*call)->ended());
  stager->cancel(*call);
  faults.release();
  (*call)->wait(std::nullopt);
  EXPECT_EQ((*call)->outcome(0).state, State::cancelled);
  EXPECT_FALSE(folder.has("to/d/0"));
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_F(FilesOfOneCall, ToOneTargetEndAsTheLast) {
  open(2);
  Request request = files(30);
  for (Transfer& transfer : request.transfers) transfer.target = request.transfers[0].target;
  const auto call = run(std::move(request));
  EXPECT_EQ(folder.read("to/d/0"), testing::noise(129));
  EXPECT_EQ(call->outcome(29).state, State::done);
  EXPECT_TRUE(folder.leftovers().empty());
}

}  // namespace
}  // namespace windlass::stage
