#include "plugin/stage/journal.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <random>

#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/testing/packed.hpp"

namespace windlass::stage {
namespace {

using std::chrono::seconds;
constexpr seconds kNow{1'000'000}, kKeep{100};

JournalEntry entry(const std::string& target, std::uint64_t size = 1U << 30U) {
  JournalEntry made{target, ".windlass-x", "wish\xFF", {}, {}, kNow.count(), 0};
  made.source.key = {UINT64_MAX, 7};
  made.source.size = size;
  made.source.modified = {-5, 999'999'999};
  return made;
}

class JournalTest : public ::testing::Test {
 protected:
  std::unique_ptr<Journal> open(seconds now = kNow) {
    auto journal = Journal::open(folder.at("state"), now, kKeep);
    EXPECT_TRUE(journal) << journal.error().message;
    return journal ? std::move(*journal) : nullptr;
  }
  JournalId begin(Journal& journal, const std::string& target) {
    JournalEntry made = entry(target);
    made.life = journal.life(0);
    return journal.begin(made);
  }
  testing::Folder folder;
};

TEST_F(JournalTest, RemembersWhatDidNotEnd) {
  {
    const auto journal = open();
    journal->end(begin(*journal, "/ended"));
    journal->mark(begin(*journal, "/large"), 123);
    begin(*journal, "/small");
  }
  const auto journal = open();
  EXPECT_EQ(journal->set_aside(), 0U);
  const auto dead = journal->take_dead(kNow);
  ASSERT_EQ(dead.size(), 1U);
  EXPECT_EQ(dead[0].entry.target, "/small");
  const auto left = journal->take("/large");
  ASSERT_TRUE(left);
  EXPECT_EQ(left->entry.written, 123U);
  EXPECT_EQ(left->entry.wish, "wish\xFF");
  EXPECT_TRUE(left->entry.source.same_content(entry("").source));
  EXPECT_FALSE(journal->take("/large")) << "once";
  EXPECT_FALSE(journal->take("/ended"));
}

TEST_F(JournalTest, KeepsForResumeOnlySoLongAndInOneBoot) {
  {
    const auto journal = open();
    journal->mark(begin(*journal, "/old"), 1);
    JournalEntry other = entry("/other boot");
    other.life = "another 0";
    journal->mark(journal->begin(other), 1);
  }
  EXPECT_EQ(open(kNow + kKeep - seconds(1))->take_dead(kNow).size(), 1U);
  const auto journal = open(kNow + kKeep - seconds(1));
  EXPECT_EQ(journal->next_dead(), kNow + kKeep);
  EXPECT_EQ(journal->take_dead(kNow + kKeep - seconds(1)).size(), 1U);
  EXPECT_EQ(journal->take_dead(kNow + kKeep).size(), 1U) << "it grew old while the journal was open";
  EXPECT_FALSE(journal->next_dead());
  EXPECT_FALSE(journal->take("/old"));
}

TEST_F(JournalTest, OfSeveralInOneFolderTheDeadAreTakenOver) {
  auto first = open();
  begin(*first, "/first");
  {
    const auto second = open();
    EXPECT_TRUE(second->take_dead(kNow).empty()) << "the first lives";
    begin(*second, "/second");
  }
  first.reset();
  const auto third = open();
  EXPECT_EQ(third->take_dead(kNow).size(), 2U);
}

// Empty, cut, flipped, newer: whatever the file is, the stager starts, and what was lost is counted.
TEST_F(JournalTest, SetsAsideWhatCannotBeRead) {
  {
    const auto journal = open();
    for (int i = 0; i < 5; ++i) begin(*journal, "/" + std::to_string(i));
  }
  const std::string good = folder.read("state/stage.journal.0");
  std::minstd_rand random(3);
  std::vector<std::string> broken = {"", "windlass-stage-journal 2\n", good.substr(0, good.size() - 3),
                                     std::string(100'000, 'x')};
  for (int i = 0; i < 50; ++i) {
    broken.push_back(good);
    broken.back()[random() % good.size()] ^= static_cast<char>(1 + random() % 255);
  }
  for (const std::string& content : broken) {
    folder.write("state/stage.journal.0", content);
    const auto journal = open();
    ASSERT_TRUE(journal);
    EXPECT_EQ(journal->set_aside(), 1U);
    EXPECT_LT(journal->take_dead(kNow).size(), 5U);
    journal->end(begin(*journal, "/next"));
  }
  EXPECT_TRUE(folder.has("state/stage.journal.0.aside-1"));
}

class CrashTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here(GetParam())) GTEST_SKIP() << "io_uring is denied here";
    options.state_path = folder.at("state");
  }

  // Runs the transfer in a process of its own and kills that once so many bytes are done.
  void killed_at(const Transfer& transfer, std::uint64_t bytes) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Options slow = options;
      slow.bandwidth_max = 256U << 20U;
      const auto stager = testing::open_stager(GetParam(), slow);
      const auto call = testing::submit_one(*stager, transfer);
      while (call->progress().bytes_done < bytes && !call->ended()) std::this_thread::yield();
      ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  testing::Folder folder;
  Options options;
};

TEST_P(CrashTest, ALargeFileGoesOnWhereItWas) {
  const std::string content = testing::noise(110U << 20U);
  folder.write("from", content);
  Transfer transfer = testing::transfer_of(folder.at("from"), folder.at("to"));
  transfer.checksum = {ChecksumKind::xxh3, {}};
  killed_at(transfer, 90U << 20U);
  EXPECT_FALSE(folder.has("to"));
  EXPECT_EQ(folder.leftovers().size(), 1U);
  const auto stager = testing::open_stager(GetParam(), options);
  const Outcome outcome = testing::stage_one(*stager, transfer);
  ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
  EXPECT_GE(outcome.resumed_bytes + kMarkBytes, 90U << 20U) << "no more than this is read again";
  EXPECT_TRUE(folder.read("to") == content);
  EXPECT_EQ(stager->counters().resumed_bytes_total, outcome.resumed_bytes);
  EXPECT_TRUE(folder.leftovers().empty());
  const auto truth = make_hasher(ChecksumKind::xxh3);
  truth->add(content.data(), content.size());
  EXPECT_EQ(outcome.checksum, "xxh3:" + truth->hex());
}

TEST_P(CrashTest, AChangedSourceIsReadFromItsBegin) {
  folder.write("from", testing::noise(70U << 20U));
  const Transfer transfer = testing::transfer_of(folder.at("from"), folder.at("to"));
  killed_at(transfer, 60U << 20U);
  const std::string other = testing::noise(70U << 20U, 9);
  folder.write("from", other);
  const Outcome outcome = testing::stage_one(*testing::open_stager(GetParam(), options), transfer);
  EXPECT_EQ(outcome.state, State::done);
  EXPECT_EQ(outcome.resumed_bytes, 0U);
  EXPECT_TRUE(folder.read("to") == other);
  EXPECT_TRUE(folder.leftovers().empty());
}

TEST_P(CrashTest, WhatIsDecompressedBeginsAgainAndWhatAutoCopiesGoesOn) {
  const std::string content = testing::noise(70U << 20U);
  folder.write("packed", testing::packed(Packing::zstd, content));
  folder.write("plain", content);
  for (const bool plain : {false, true}) {
    Transfer transfer = testing::transfer_of(folder.at(plain ? "plain" : "packed"), folder.at("to"));
    transfer.decompress = Decompress::automatic;
    killed_at(transfer, 60U << 20U);
    EXPECT_FALSE(folder.has("to"));
    const auto stager = testing::open_stager(GetParam(), options);
    const Outcome outcome = testing::stage_one(*stager, transfer);
    ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
    EXPECT_EQ(outcome.resumed_bytes > 0, plain);
    EXPECT_TRUE(folder.read("to") == content);
    EXPECT_TRUE(testing::eventually([&] { return folder.leftovers().empty(); }));
    std::filesystem::remove(folder.at("to"));
  }
}

TEST_P(CrashTest, LeftoversAreSweptAtTheNextStart) {
  folder.write("from", testing::noise(30U << 20U));
  folder.write("tree/a/b", testing::noise(30U << 20U));
  folder.write(".windlass-other-0123456789abcdef.0", "of another owner");
  killed_at(testing::transfer_of(folder.at("from"), folder.at("in/to")), 10U << 20U);
  Transfer tree = testing::transfer_of(folder.at("tree"), folder.at("in/tree"));
  killed_at(tree, 10U << 20U);
  tree.tree_atomic = true;
  tree.target = *parse_place(folder.at("in/whole"));
  killed_at(tree, 10U << 20U);
  const auto stager = testing::open_stager(GetParam(), options);
  EXPECT_TRUE(testing::eventually([&] { return folder.leftovers().size() == 1; })) << folder.leftovers().size();
  EXPECT_TRUE(folder.has(".windlass-other-0123456789abcdef.0"));
}

TEST_P(CrashTest, WhatNobodyResumesGoesWhenItsTimeIsOver) {
  folder.write("from", testing::noise(70U << 20U));
  killed_at(testing::transfer_of(folder.at("from"), folder.at("to")), 60U << 20U);
  options.resume_keep = std::chrono::seconds(4);
  const auto stager = testing::open_stager(GetParam(), options);
  EXPECT_TRUE(testing::eventually([&] { return folder.leftovers().empty(); }));
}

INSTANTIATE_TEST_SUITE_P(Engines, CrashTest, ::testing::Values("uring", "threads"));

}  // namespace
}  // namespace windlass::stage
