#include "plugin/stage/copier.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/testing/harness.hpp"
#include "plugin/stage/uring_queue.hpp"

namespace windlass::stage {
namespace {

// One contract for every queue: the kernel's ring, plain calls, and both behind the faulty one.
struct Kind {
  const char* name;
  bool ring;
  unsigned short_one_in;  // 0: no faults
  bool pinned = false;    // the ring holds the memory
};

class CopyBytes : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().ring && !testing::engine_is_here("uring")) GTEST_SKIP() << "io_uring is denied here";
    queue = GetParam().ring ? std::move(*make_uring_queue()) : make_plain_queue();
    if (GetParam().pinned) queue->pin(buffers.at(0), buffers.whole());
    if (GetParam().short_one_in == 0) return;
    faults.cut_short(42, GetParam().short_one_in);
    queue = std::make_unique<testing::FaultyQueue>(std::move(queue), faults);
  }

  Status copy(CopyTask task, int flags = 0) {
    from = Fd(::open(folder.at("from").c_str(), O_RDONLY | O_CLOEXEC | flags));
    to = Fd(::open(folder.at("to").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0600));
    task.from = from.get();
    task.to = to.get();
    return copy_bytes(real_fs(), *queue, buffers, task, pace);
  }

  testing::Folder folder;
  testing::Faults faults;
  std::unique_ptr<IoQueue> queue;
  Buffers buffers{4, 16'384};
  testing::QuietPace pace;
  Fd from, to;
};

TEST_P(CopyBytes, CopiesAnyLengthFromAnywhere) {
  const std::string content = testing::noise(300'000);
  folder.write("from", content);
  for (const std::uint64_t length : {0U, 1U, 4095U, 4096U, 16'384U, 16'385U, 65'536U, 99'999U}) {
    for (const std::uint64_t first : {0U, 1U, 4096U, 123'457U}) {
      CopyTask task;
      task.first = first;
      task.length = length;
      const auto hasher = make_hasher(ChecksumKind::xxh3);
      task.hasher = hasher.get();
      pace.bytes_moved = 0;
      const auto copied = copy(task);
      ASSERT_TRUE(copied) << copied.error().message;
      EXPECT_EQ(folder.read("to"), content.substr(first, length));
      EXPECT_EQ(pace.bytes_moved, length);
      EXPECT_EQ(pace.held, 0);
      const auto truth = make_hasher(ChecksumKind::xxh3);
      truth->add(content.data() + first, length);
      EXPECT_EQ(hasher->hex(), truth->hex());
    }
  }
}

TEST_P(CopyBytes, GoesAroundThePageCacheWhereItMay) {
  const std::string content = testing::noise(200'001);
  folder.write("from", content);
  Space space;
  const Fd probe(::open(folder.at("from").c_str(), O_RDONLY | O_CLOEXEC));
  if (real_fs().space(probe.get(), space) != 0 || !space.local_disk) GTEST_SKIP() << "no local disk here";
  CopyTask task;
  task.length = content.size();
  task.direct_from = task.direct_to = true;
  task.alignment = 4096;
  const auto copied = copy(task, O_DIRECT);
  ASSERT_TRUE(copied) << copied.error().message;
  ASSERT_EQ(::ftruncate(to.get(), static_cast<off_t>(content.size())), 0);
  EXPECT_EQ(folder.read("to"), content);
}

TEST_P(CopyBytes, LeavesHolesOut) {
  constexpr std::uint64_t kSize = 40U << 20U;
  folder.write("from", "begin");
  {
    const Fd file(::open(folder.at("from").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), "middle", 6, 20U << 20U), 6);
    ASSERT_EQ(::ftruncate(file.get(), kSize), 0);
  }
  CopyTask task;
  task.length = kSize;
  task.sparse = true;
  const auto hasher = make_hasher(ChecksumKind::crc32c);
  task.hasher = hasher.get();
  ASSERT_TRUE(copy(task));
  ASSERT_EQ(::ftruncate(to.get(), kSize), 0);
  EXPECT_TRUE(folder.read("to") == folder.read("from"));
  EXPECT_EQ(pace.bytes_moved, kSize) << "holes count as done";
  FileInfo info;
  ASSERT_EQ(real_fs().info(to.get(), info), 0);
  EXPECT_LT(info.allocated, 1U << 20U);
  const std::string whole = folder.read("from");
  const auto truth = make_hasher(ChecksumKind::crc32c);
  truth->add(whole.data(), whole.size());
  EXPECT_EQ(hasher->hex(), truth->hex());
}

TEST_P(CopyBytes, SaysThatASourceThatEndsEarlyChanges) {
  folder.write("from", testing::noise(50'000));
  CopyTask task;
  task.length = 60'000;
  const auto copied = copy(task);
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Code::failed_precondition);
  EXPECT_EQ(pace.held, 0);
}

TEST_P(CopyBytes, EndsWhereItIsCancelled) {
  folder.write("from", testing::noise(200'000));
  CopyTask task;
  task.length = 200'000;
  for (std::int64_t after = 0; after < 12; ++after) {
    pace.cancel_after = after;
    EXPECT_EQ(copy(task).error().code, Code::cancelled);
    EXPECT_EQ(pace.held, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Queues, CopyBytes,
                         ::testing::Values(Kind{"plain", false, 0}, Kind{"ring", true, 0}, Kind{"plainShort", false, 3},
                                           Kind{"ringShort", true, 3}, Kind{"ringPinned", true, 0, true}),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace windlass::stage
