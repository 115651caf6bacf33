#include "plugin/stage/stager.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

class StagerTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    stager = testing::open_stager(GetParam());
  }
  // With one I/O thread, so that transfers run one after the other.
  void slow_down(std::uint64_t bytes_per_s) {
    Options options;
    options.threads = 1;
    options.bandwidth_max = bytes_per_s;
    stager = testing::open_stager(GetParam(), options);
  }
  Transfer to(const std::string& source, const std::string& target) const {
    return testing::transfer_of(folder.at(source), folder.at(target));
  }
  Outcome stage(Transfer transfer) { return testing::stage_one(*stager, std::move(transfer)); }

  testing::Folder folder;
  std::unique_ptr<Stager> stager;
};

TEST_P(StagerTest, BringsAFileWithModeAndTime) {
  const std::string content = testing::noise((5U << 20U) + 123);
  folder.write("from", content);
  ::chmod(folder.at("from").c_str(), 04751);
  const struct timespec times[2] = {{1, 2}, {1'000'000'000, 123'456'789}};
  ::utimensat(AT_FDCWD, folder.at("from").c_str(), times, 0);
  for (const auto durability : {Durability::none, Durability::file, Durability::full}) {
    Transfer transfer = to("from", "new/folders/to");
    transfer.durability = durability;
    transfer.checksum = {ChecksumKind::xxh3, {}};
    const Outcome outcome = stage(transfer);
    ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
    EXPECT_EQ(outcome.bytes, content.size());
    EXPECT_EQ(outcome.files, 1U);
    EXPECT_TRUE(outcome.engine == GetParam() || outcome.engine == "reflink");
    EXPECT_EQ(outcome.checksum.substr(0, 5), "xxh3:");
    EXPECT_TRUE(folder.read("new/folders/to") == content);
    struct stat info {};
    ASSERT_EQ(::stat(folder.at("new/folders/to").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0751U) << "never setuid";
    EXPECT_EQ(info.st_mtim.tv_nsec, 123'456'789);
  }
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(StagerTest, ReplacesInOneStep) {
  folder.write("from", "new");
  folder.write("to", "old");
  struct stat before {
  }, after{};
  ::stat(folder.at("to").c_str(), &before);
  Transfer transfer = to("from", "to");
  transfer.mode = 0400;
  ASSERT_EQ(stage(transfer).state, State::done);
  ::stat(folder.at("to").c_str(), &after);
  EXPECT_NE(before.st_ino, after.st_ino);
  EXPECT_EQ(after.st_mode & 0777U, 0400U);
}

TEST_P(StagerTest, PublishesNothingThatIsWrong) {
  folder.write("from", "some bytes");
  folder.write("to", "old");
  Transfer sized = to("from", "to"), summed = to("from", "to"), ranged = to("from", "to");
  sized.size = 11;
  summed.checksum = {ChecksumKind::md5, std::string(32, '0')};
  ranged.range = {5, 6};
  EXPECT_EQ(stage(sized).error->code, Code::data_loss);
  const Outcome wrong_sum = stage(summed);
  EXPECT_EQ(wrong_sum.error->code, Code::data_loss);
  EXPECT_EQ(wrong_sum.bytes, 0U);
  EXPECT_EQ(stage(ranged).error->code, Code::invalid_argument);
  EXPECT_EQ(folder.read("to"), "old");
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(StagerTest, TakesRanges) {
  const std::string content = testing::noise(3U << 20U);
  folder.write("from", content);
  for (const Range range : {Range{0, 0}, Range{7, 1'500'000}, Range{4096, 2U << 20U}, Range{3U << 20U, 0}}) {
    Transfer transfer = to("from", "to");
    transfer.range = range;
    transfer.size = range.length;
    ASSERT_EQ(stage(transfer).state, State::done);
    EXPECT_TRUE(folder.read("to") == content.substr(range.first, range.length));
  }
}

TEST_P(StagerTest, RefusesTheSameFile) {
  folder.write("from", "bytes");
  std::filesystem::create_hard_link(folder.at("from"), folder.at("twin"));
  EXPECT_EQ(stage(to("from", "from")).error->code, Code::invalid_argument);
  EXPECT_EQ(stage(to("from", "twin")).error->code, Code::invalid_argument);
  EXPECT_EQ(folder.read("from"), "bytes");
}

TEST_P(StagerTest, KeepsHoles) {
  folder.write("from", "x");
  ASSERT_EQ(::truncate(folder.at("from").c_str(), 64 << 20), 0);
  ASSERT_EQ(stage(to("from", "to")).state, State::done);
  struct stat info {};
  ::stat(folder.at("to").c_str(), &info);
  EXPECT_EQ(info.st_size, 64 << 20);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
}

TEST_P(StagerTest, ReadsAChangingSourceAgainAndThenGivesUp) {
  const std::string source = folder.write("from", testing::noise(1U << 20U));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const Fd file(::open(source.c_str(), O_WRONLY | O_CLOEXEC));
    for (char c = 0; !stop; ++c) EXPECT_EQ(::pwrite(file.get(), &c, 1, 1000), 1);
  });
  Outcome outcome;
  for (int i = 0; i < 5 && outcome.state != State::done; ++i) {
    outcome = stage(to("from", "to"));
    if (outcome.state == State::failed) {
      EXPECT_EQ(outcome.error->code, Code::failed_precondition) << outcome.error->message;
    }
  }
  stop = true;
  writer.join();
  EXPECT_EQ(stage(to("from", "to")).state, State::done);
  EXPECT_TRUE(folder.read("to") == folder.read("from"));
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(StagerTest, ExpiresWhatHasNotBegunAndLetsTheBegunEnd) {
  slow_down(1U << 20U);
  folder.write("large", testing::noise(600'000));
  folder.write("small", "bytes");
  Transfer begun = to("large", "to"), late = to("small", "late"), over = to("small", "over");
  begun.deadline_ms = 100;
  late.deadline_ms = 50;
  over.deadline_ms = -1;
  const auto first = testing::submit_one(*stager, begun);
  ASSERT_TRUE(testing::eventually([&] { return stager->counters().running == 1; }));
  const auto second = testing::submit_one(*stager, late);
  EXPECT_EQ(stage(over).state, State::expired);
  second->wait(std::nullopt);
  EXPECT_EQ(second->outcome(0).state, State::expired);
  EXPECT_EQ(second->outcome(0).error->code, Code::deadline_exceeded);
  EXPECT_FALSE(first->ended()) << "what expires ends at its deadline, not when a thread is free";
  first->wait(std::nullopt);
  EXPECT_EQ(first->outcome(0).state, State::done);
  EXPECT_FALSE(folder.has("late"));
}

TEST_P(StagerTest, CancelsAtAnyPointWithOneEnd) {
  slow_down(64U << 20U);
  folder.write("large", testing::noise(4U << 20U));
  for (int round = 0; round < 20; ++round) {
    const auto call = testing::submit_one(*stager, to("large", "to"));
    const std::uint64_t at = static_cast<std::uint64_t>(round) * 20'000;
    testing::eventually([&] { return call->progress().bytes_done >= at || call->ended(); });
    const bool asked = stager->cancel(call);
    call->wait(std::nullopt);
    const State state = call->outcome(0).state;
    EXPECT_TRUE(state == State::done || (asked && state == State::cancelled));
    EXPECT_EQ(folder.has("to"), state == State::done) << "what was published before it was asked is done";
    std::filesystem::remove(folder.at("to"));
    EXPECT_FALSE(stager->cancel(call));
    EXPECT_TRUE(folder.leftovers().empty());
  }
}

TEST_P(StagerTest, TheLaterOfTwoToOneTargetStays) {
  slow_down(2U << 20U);
  folder.write("block", testing::noise(500'000));
  folder.write("first", "first");
  folder.write("second", "second");
  const auto block = testing::submit_one(*stager, to("block", "blocked"));
  ASSERT_TRUE(testing::eventually([&] { return stager->counters().running == 1; }));
  Transfer earlier = to("first", "to"), later = to("second", "./to");
  later.priority = 1;
  const auto one = testing::submit_one(*stager, earlier);
  const auto two = testing::submit_one(*stager, later);
  for (const auto& call : {block, one, two}) call->wait(std::nullopt);
  EXPECT_EQ(two->outcome(0).state, State::done);
  EXPECT_EQ(one->outcome(0).state, State::cancelled);
  EXPECT_NE(one->outcome(0).error->message.find("replaced by a later transfer"), std::string::npos);
  EXPECT_EQ(folder.read("to"), "second");
}

TEST_P(StagerTest, TellsEndsThroughItsDescriptor) {
  folder.write("from", "bytes");
  Request request;
  request.transfers.push_back(to("from", "to"));
  const auto call = stager->submit(std::move(request), "", 77);
  struct pollfd poll = {stager->ends().fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&poll, 1, 20'000), 1);
  EXPECT_TRUE((*call)->ended()) << "who is told finds the report";
  EXPECT_EQ(stager->ends().take(), 77U);
  EXPECT_EQ(stager->ends().take(), std::nullopt);
  EXPECT_EQ(::poll(&poll, 1, 0), 0);
  const auto empty = stager->submit({}, "", 78);
  EXPECT_EQ(stager->ends().take(), 78U) << "a call of nothing ends at once";
}

TEST_P(StagerTest, HoldsQueueAndQuota) {
  Options options;
  options.threads = 1;
  options.bandwidth_max = 1U << 20U;
  options.schedule = {2, 1'000'000};
  stager = testing::open_stager(GetParam(), options);
  folder.write("large", testing::noise(700'000));
  const auto call = testing::submit_one(*stager, to("large", "to"));
  Request second;
  second.transfers.push_back(to("large", "to2"));
  const auto refused = stager->submit(second, "", 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  EXPECT_TRUE(stager->submit(second, "another client", 0));
  EXPECT_FALSE(stager->submit(second, "third client", 0)) << "the queue takes two";
}

TEST_P(StagerTest, CountsTreesAgainstTheQuota) {
  Options options;
  options.schedule.quota_per_client = 1'000'000;
  stager = testing::open_stager(GetParam(), options);
  for (int i = 0; i < 11; ++i) folder.write("tree/d/" + std::to_string(i), testing::noise(100'000));
  Request request;
  request.transfers.push_back(to("tree", "to"));
  const auto refused = stager->submit(request, "", 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  EXPECT_FALSE(folder.has("to"));
}

TEST_P(StagerTest, TellsWhatIsDoneWhileItIsSlow) {
  slow_down(1U << 20U);
  folder.write("from", testing::noise(3U << 20U));
  const auto call = testing::submit_one(*stager, to("from", "to"));
  const auto begun = Clock::now();
  EXPECT_TRUE(testing::eventually([&] { return call->progress().bytes_done > 300'000; }));
  EXPECT_LT(Clock::now() - begun, std::chrono::milliseconds(1500));
  EXPECT_LT(call->progress().bytes_done, 2'000'000U);
  EXPECT_EQ(call->progress().bytes_total, 3 << 20);
}

TEST_P(StagerTest, CountsTheReadsOfAChangingSource) {
  slow_down(8U << 20U);
  const std::string source = folder.write("from", testing::noise(4U << 20U));
  const auto call = testing::submit_one(*stager, to("from", "to"));
  EXPECT_TRUE(testing::eventually([&] { return call->progress().bytes_done > 0; }));
  folder.write("from", testing::noise(4U << 20U, 2));
  call->wait(std::nullopt);
  ASSERT_EQ(call->outcome(0).state, State::done);
  EXPECT_EQ(call->outcome(0).retries, 1U);
  EXPECT_EQ(stager->counters().retries_total, 1U);
  EXPECT_TRUE(folder.read("to") == testing::noise(4U << 20U, 2));
}

TEST_P(StagerTest, KeepsRoomFree) {
  folder.write("from", "bytes");
  Options options;
  options.space.free_min = UINT64_MAX;
  EXPECT_EQ(testing::stage_one(*testing::open_stager(GetParam(), options), to("from", "to")).error->code,
            Code::resource_exhausted);
  options.space = {0, UINT64_MAX - 1};
  EXPECT_EQ(testing::stage_one(*testing::open_stager(GetParam(), options), to("from", "to")).error->code,
            Code::resource_exhausted);
}

TEST_P(StagerTest, TellsAFullDisk) {
  const std::string mount = folder.at("small");
  std::filesystem::create_directory(mount);
  if (::mount("tmpfs", mount.c_str(), "tmpfs", 0, "size=2m") != 0) GTEST_SKIP() << "mounting takes root";
  folder.write("from", testing::noise(3U << 20U));
  folder.write("fits", testing::noise(1U << 20U));
  folder.write("small/to", "old");
  const Outcome outcome = stage(to("from", "small/to"));
  const Outcome next = stage(to("fits", "small/to2"));
  const std::string kept = folder.read("small/to");
  const auto leftovers = folder.leftovers();
  ::umount(mount.c_str());
  ASSERT_EQ(outcome.state, State::failed);
  EXPECT_EQ(outcome.error->code, Code::resource_exhausted) << outcome.error->message;
  EXPECT_TRUE(outcome.error->retryable);
  EXPECT_EQ(kept, "old");
  EXPECT_EQ(next.state, State::done);
  EXPECT_TRUE(leftovers.empty());
}

TEST_P(StagerTest, StaysWithinItsBudgetAndItsRate) {
  Options options;
  options.bytes_in_flight_max = 64 * 1024;
  options.bandwidth_max = 16U << 20U;
  stager = testing::open_stager(GetParam(), options);
  folder.write("from", testing::noise(8U << 20U));
  const auto begun = Clock::now();
  const auto call = testing::submit_one(*stager, to("from", "to"));
  while (!call->ended()) EXPECT_LE(stager->counters().bytes_in_flight, 64U * 1024U);
  EXPECT_GE(Clock::now() - begun, std::chrono::milliseconds(350));
  EXPECT_EQ(call->progress().bytes_done, 8U << 20U);
  EXPECT_EQ(call->progress().bytes_total, 8 << 20);
  EXPECT_EQ(stager->counters().bytes_in_flight, 0U);
}

TEST_P(StagerTest, LimitsInputsAndResultsApart) {
  Options options;
  options.bandwidth_max_result = 8U << 20U;
  stager = testing::open_stager(GetParam(), options);
  folder.write("from", testing::noise(4U << 20U));
  Transfer result = to("from", "result");
  result.kind = Kind::result;
  const auto begun = Clock::now();
  const auto slow = testing::submit_one(*stager, std::move(result));
  EXPECT_EQ(testing::stage_one(*stager, to("from", "input")).state, State::done);
  EXPECT_FALSE(slow->ended()) << "the input had no limit";
  slow->wait(std::nullopt);
  EXPECT_EQ(slow->outcome(0).state, State::done);
  EXPECT_GE(Clock::now() - begun, std::chrono::milliseconds(350));
}

TEST_P(StagerTest, ClosesWithWorkUnderWay) {
  slow_down(1U << 20U);
  folder.write("large", testing::noise(4U << 20U));
  const auto running = testing::submit_one(*stager, to("large", "to"));
  const auto queued = testing::submit_one(*stager, to("large", "to2"));
  stager.reset();
  EXPECT_EQ(running->outcome(0).state, State::cancelled);
  EXPECT_EQ(queued->outcome(0).state, State::cancelled);
  EXPECT_TRUE(folder.leftovers().empty());
}

INSTANTIATE_TEST_SUITE_P(Engines, StagerTest, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
