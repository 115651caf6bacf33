// Faults at each operation of a transfer in turn: one clear end, nothing torn, nothing left, and the next one works.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "plugin/stage/testing/harness.hpp"

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

  testing::Folder folder;
  testing::Faults faults;
  std::unique_ptr<Stager> stager;
};

TEST_P(FaultTest, AFileIsOldOrWholeWhateverFails) {
  const std::string fresh = testing::noise((1U << 20U) + 777);
  folder.write("from", fresh);
  Transfer transfer = testing::transfer_of(folder.at("from"), folder.at("new/to"));
  transfer.durability = Durability::full;
  transfer.checksum = {ChecksumKind::xxh3, {}};
  for (const int error : {EIO, ENOSPC}) {
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
      if (!struck) break;
    }
    EXPECT_GT(at, 30U) << "the faults went through the whole of it";
  }
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

TEST_P(FaultTest, WhatStallsStopsNobodyElse) {
  folder.write("from", testing::noise(1U << 20U));
  folder.write("other", "bytes");
  faults.stall_at(3);
  const auto stalled = testing::submit_one(*stager, testing::transfer_of(folder.at("from"), folder.at("to")));
  ASSERT_TRUE(testing::eventually([&] { return faults.stalled(); }));
  EXPECT_EQ(testing::stage_one(*stager, folder.at("other"), folder.at("to2")).state, State::done);
  EXPECT_TRUE(stager->cancel(stalled));
  EXPECT_FALSE(stalled->ended());
  faults.release();
  stalled->wait(std::nullopt);
  EXPECT_EQ(stalled->outcome(0).state, State::cancelled);
  EXPECT_TRUE(folder.leftovers().empty());
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
