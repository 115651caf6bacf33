// Faults at each operation of a transfer in turn: one clear end, nothing torn, nothing left, and the next one works.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/testing/packed.hpp"

namespace windlass::stage {
namespace {

class FaultTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    Options options;
    options.bytes_in_flight_max = 256 * 1024;  // several requests a file
    stager = testing::open_stager(GetParam(), options, &faults);
  }

  // A transfer of `from`, of which `fresh` has to come, fails at each of its operations in turn.
  void fail_everywhere(const std::string& fresh, std::optional<Decompress> decompress);

  testing::Folder folder;
  testing::Faults faults;
  std::unique_ptr<Stager> stager;
};

void FaultTest::fail_everywhere(const std::string& fresh, std::optional<Decompress> decompress) {
  Transfer transfer = testing::transfer_of(folder.at("from"), folder.at("new/to"));
  transfer.checksum = {ChecksumKind::xxh3, {}};
  transfer.decompress = decompress;
  Transfer next = testing::transfer_of(folder.at("from"), folder.at("new/to"));
  next.durability = Durability::none;
  next.decompress = decompress;
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    transfer.durability = error == EIO ? Durability::full : Durability::none;
    std::uint64_t at = 1;
    for (;; ++at) {
      std::filesystem::remove_all(folder.at("new"));
      if (at % 2 == 0) folder.write("new/to", "old");
      faults.fail_at(at, error);
      const Outcome outcome = testing::stage_one(*stager, transfer);
      const bool struck = faults.count() >= at;
      const std::string now = folder.read("new/to");
      ASSERT_TRUE(now == fresh || now == (at % 2 == 0 ? "old" : "")) << "torn at operation " << at;
      ASSERT_TRUE(folder.leftovers().empty()) << folder.leftovers()[0] << " left at operation " << at;
      ASSERT_EQ(stager->counters().bytes_in_flight, 0U) << at;
      if (outcome.state == State::done) {
        ASSERT_TRUE(now == fresh) << at;
      } else {
        ASSERT_EQ(outcome.state, State::failed) << at;
        ASSERT_EQ(outcome.error->code, error == EIO ? Code::data_loss : Code::resource_exhausted)
            << outcome.error->message;
      }
      faults.fail_at(0, 0);
      ASSERT_EQ(testing::stage_one(*stager, next).state, State::done) << "the next one, after operation " << at;
      ASSERT_TRUE(folder.read("new/to") == fresh) << at;
      if (!struck) break;
    }
    EXPECT_GT(at, 30U) << "the faults went through the whole of it";
  }
}

TEST_P(FaultTest, AFileIsOldOrWholeWhateverFails) {
  const std::string fresh = testing::noise((1U << 20U) + 777);
  folder.write("from", fresh);
  fail_everywhere(fresh, std::nullopt);
}

TEST_P(FaultTest, ADecompressedFileIsOldOrWholeWhateverFails) {
  const std::string fresh = testing::noise(300'000);
  folder.write("from", testing::packed(Packing::gzip, fresh));
  fail_everywhere(fresh, Decompress::automatic);
}

TEST_P(FaultTest, ATreeIsMadeOfOldAndWholeFilesWhateverFails) {
  for (int i = 0; i < 6; ++i)
    folder.write("from/d" + std::to_string(i % 2) + "/" + std::to_string(i), testing::noise(3000));
  std::filesystem::create_symlink("d0", folder.at("from/link"));
  for (const bool whole : {false, true}) {
    std::uint64_t at = 1;
    for (bool struck = true; struck; ++at) {
      std::filesystem::remove_all(folder.at("to"));
      folder.write("to/d0/0", "old");
      Transfer transfer = testing::transfer_of(folder.at("from"), folder.at("to"));
      transfer.durability = Durability::full;
      transfer.tree_atomic = whole;
      faults.fail_at(at, EIO);
      const Outcome outcome = testing::stage_one(*stager, transfer);
      struck = faults.count() >= at;
      const std::string first = folder.read("to/d0/0");
      ASSERT_TRUE(first == "old" || first == testing::noise(3000)) << at;
      for (int i = 1; i < 6; ++i) {
        const std::string name = "to/d" + std::to_string(i % 2) + "/" + std::to_string(i);
        ASSERT_TRUE(!folder.has(name) || folder.read(name) == testing::noise(3000)) << name << " at " << at;
        ASSERT_TRUE(!whole || folder.has(name) == (first != "old")) << name << " at " << at;
      }
      ASSERT_TRUE(folder.leftovers().empty()) << folder.leftovers()[0] << " at " << at;
      if (outcome.state == State::done) {
        ASSERT_NE(first, "old") << at;
      } else {
        ASSERT_EQ(outcome.error->code, Code::data_loss) << at << ": " << outcome.error->message;
      }
    }
    EXPECT_GT(at, 50U);
  }
}

TEST_P(FaultTest, ShortResultsChangeNothing) {
  const std::string content = testing::noise((2U << 20U) + 5);
  folder.write("from", content);
  for (std::uint32_t seed = 1; seed <= 10; ++seed) {
    faults.cut_short(seed, 2);
    const Outcome outcome = testing::stage_one(*stager, folder.at("from"), folder.at("to"));
    ASSERT_EQ(outcome.state, State::done) << "seed " << seed << ": " << outcome.error->message;
    ASSERT_TRUE(folder.read("to") == content) << "seed " << seed;
  }
}

TEST_P(FaultTest, EachReadAndWriteMayBeShort) {
  const std::string content = testing::noise((1U << 20U) + 777);
  folder.write("from", content);
  for (const std::uint32_t bytes : {1U, 4096U, 5000U}) {
    std::uint64_t at = 1;
    for (bool cut = true; cut; ++at) {
      faults.cut_at(at, bytes);
      const Outcome outcome = testing::stage_one(*stager, folder.at("from"), folder.at("to"));
      ASSERT_EQ(outcome.state, State::done) << bytes << " bytes at " << at << ": " << outcome.error->message;
      ASSERT_TRUE(folder.read("to") == content) << bytes << " bytes at " << at;
      cut = faults.cut();
    }
    EXPECT_GT(at, 10U);
  }
}

// As the kernel tells who was interrupted, where it is short of memory, or has taken an operation back.
TEST_P(FaultTest, EachReadAndWriteMayHaveToBeAskedForAgain) {
  const std::string content = testing::noise((1U << 20U) + 777);
  folder.write("from", content);
  for (const int error : {EAGAIN, EINTR, ECANCELED}) {
    for (const std::uint64_t times : {1U, 3U}) {
      std::uint64_t at = 1;
      for (bool refused = true; refused; ++at) {
        faults.refuse_at(at, error, times);
        const Outcome outcome = testing::stage_one(*stager, folder.at("from"), folder.at("to"));
        ASSERT_EQ(outcome.state, State::done) << error << " at " << at << ": " << outcome.error->message;
        ASSERT_TRUE(folder.read("to") == content) << error << " at " << at;
        refused = faults.refused();
      }
      EXPECT_GT(at, 10U);
    }
  }
}

TEST_P(FaultTest, WhatIsNeverDoneHoweverOftenItIsAskedForEndsUnavailable) {
  folder.write("from", testing::noise((1U << 20U) + 777));
  folder.write("to", "old");
  for (const int error : {EAGAIN, EINTR, ECANCELED}) {
    faults.refuse_at(4, error, UINT64_MAX / 2);
    const Outcome outcome = testing::stage_one(*stager, folder.at("from"), folder.at("to"));
    ASSERT_EQ(outcome.state, State::failed) << error;
    EXPECT_EQ(outcome.error->code, Code::unavailable) << outcome.error->message;
    EXPECT_TRUE(outcome.error->retryable);
    EXPECT_EQ(folder.read("to"), "old");
    EXPECT_TRUE(folder.leftovers().empty());
    EXPECT_EQ(stager->counters().bytes_in_flight, 0U);
  }
  faults.refuse_at(1, 0, 0);
  EXPECT_EQ(testing::stage_one(*stager, folder.at("from"), folder.at("to")).state, State::done);
}

TEST_P(FaultTest, WhoRestsBeforeItAsksAgainCanBeCancelled) {
  folder.write("from", testing::noise(1U << 20U));
  faults.refuse_at(4, EAGAIN, UINT64_MAX / 2);
  const auto call = testing::submit_one(*stager, testing::transfer_of(folder.at("from"), folder.at("to")));
  ASSERT_TRUE(testing::eventually([&] { return faults.refused(); }));
  stager->cancel(call);
  call->wait(std::nullopt);
  EXPECT_EQ(call->outcome(0).state, State::cancelled);
  EXPECT_TRUE(folder.leftovers().empty());
}

// However long a completion takes: there is no clock in it, it comes when the test says so.
TEST_P(FaultTest, WhatStallsAtAnyCompletionStopsNobodyElse) {
  stager = testing::open_stager(GetParam(), {}, &faults);  // with room for a thread more
  const std::string content = testing::noise(1U << 20U);
  folder.write("from", content);
  folder.write("tree/a", "a");
  folder.write("tree/sub/b", content);
  folder.write("other", "bytes");
  for (const bool tree : {false, true}) {
    std::uint64_t at = 1;
    for (bool struck = true; struck; ++at) {
      std::filesystem::remove_all(folder.at("in"));
      Transfer transfer = testing::transfer_of(folder.at(tree ? "tree" : "from"), folder.at("in/to"));
      transfer.durability = Durability::full;
      transfer.tree_atomic = tree && at % 4 < 2;
      const bool cancels = at % 2 == 0;
      faults.stall_at(at);
      const auto late = testing::submit_one(*stager, transfer);
      ASSERT_TRUE(testing::eventually([&] { return faults.stalled() > 0 || late->ended(); }));
      struck = faults.stalled() > 0;
      ASSERT_NE(struck, late->ended()) << at;
      if (!struck) faults.release();
      ASSERT_EQ(testing::stage_one(*stager, folder.at("other"), folder.at("to2")).state, State::done) << at;
      if (struck && cancels) {
        ASSERT_TRUE(stager->cancel(late)) << at;
        ASSERT_FALSE(late->ended()) << at;
      }
      faults.release();
      late->wait(std::nullopt);
      const Outcome& outcome = late->outcome(0);
      // what was asked too late is done
      ASSERT_TRUE(outcome.state == State::done || (struck && cancels && outcome.state == State::cancelled)) << at;
      const std::string now = folder.read(tree ? "in/to/sub/b" : "in/to");
      ASSERT_TRUE(now == content || (now.empty() && outcome.state == State::cancelled)) << "torn at completion " << at;
      ASSERT_TRUE(folder.leftovers().empty()) << folder.leftovers()[0] << " left at completion " << at;
      ASSERT_EQ(stager->counters().bytes_in_flight, 0U) << at;
    }
    EXPECT_GT(at, 30U) << "the stalls went through the whole of it";
  }
}

// As where a network mount hangs: each thread that touches it waits.
TEST_P(FaultTest, WhenAllThreadsStallDeadlinesAreKeptAndOthersAreServed) {
  stager = testing::open_stager(GetParam(), {}, &faults);
  folder.write("from", "bytes");
  Request many;  // so many that a look at them is left to the survey, which stalls too
  for (int i = 0; i < 20; ++i)
    many.transfers.push_back(testing::transfer_of(folder.at("from"), folder.at("to" + std::to_string(i))));
  faults.stall_at(1, 3);
  auto call = stager->submit(std::move(many), "", 0);
  ASSERT_TRUE(call);
  ASSERT_TRUE(testing::eventually([&] { return faults.stalled() == 3; }));
  Transfer urgent = testing::transfer_of(folder.at("from"), folder.at("urgent"));
  urgent.priority = -1;
  urgent.deadline_ms = 20;
  const auto late = testing::submit_one(*stager, urgent);
  late->wait(std::nullopt);
  EXPECT_EQ(late->outcome(0).state, State::expired);
  EXPECT_EQ(testing::stage_one(*stager, folder.at("from"), folder.at("other")).state, State::done);
  EXPECT_EQ(faults.stalled(), 3U);
  EXPECT_FALSE((*call)->ended());
  faults.release();
  (*call)->wait(std::nullopt);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ((*call)->outcome(i).state, State::done);
}

TEST_P(FaultTest, WhoSubmitsWaitsForNoDisk) {
  folder.write("from", "bytes");
  Options options;
  options.schedule.quota_per_client = 4;
  stager = testing::open_stager(GetParam(), options, &faults);
  const auto submit = [&] {
    Request request;
    request.transfers.push_back(testing::transfer_of(folder.at("from"), folder.at("to")));
    return stager->submit(std::move(request), "client", 0);
  };
  const auto refused = submit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::resource_exhausted);
  faults.stall_at(1);
  auto taken = submit();  // what cannot be measured counts nothing
  ASSERT_TRUE(taken) << taken.error().message;
  faults.release();
  (*taken)->wait(std::nullopt);
  EXPECT_EQ((*taken)->outcome(0).state, State::done);
}

TEST_P(FaultTest, WhatMayPassIsTriedAgain) {
  folder.write("from", "bytes");
  Options options;
  options.retries = 2;
  stager = testing::open_stager(GetParam(), options, &faults);
  faults.fail_at(8, ESTALE);
  const Outcome outcome = testing::stage_one(*stager, folder.at("from"), folder.at("to"));
  EXPECT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_EQ(outcome.retries, 1U);
  EXPECT_EQ(stager->counters().retries_total, 1U);
}

INSTANTIATE_TEST_SUITE_P(Engines, FaultTest, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
