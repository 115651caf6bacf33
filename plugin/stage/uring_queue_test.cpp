// The ring's own limits: what it may do, how much memory it may hold, and what the kernel may say to it.
#include "plugin/stage/uring_queue.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "plugin/stage/testing/harness.hpp"

namespace windlass::stage {
namespace {

class Ring : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::engine_is_here("uring")) GTEST_SKIP() << "io_uring is denied here";
  }

  // One read of a file through the ring, from memory that was offered to it.
  std::int64_t read_through(IoQueue& queue, char* data, std::uint32_t bytes) const {
    const Fd file(::open(folder.at("file").c_str(), O_RDONLY | O_CLOEXEC));
    queue.push({IoOp::Kind::read, file.get(), data, bytes, 0, 1, true});
    return queue.wait().result;
  }

  testing::Folder folder;
};

TEST_F(Ring, ReadsAndWritesAndDoesNothingElse) {
  const int answer = ask_ring_for_more();
  EXPECT_TRUE(answer == -EACCES) << "answered " << answer;
}

TEST_F(Ring, ReadsIntoMemoryThatItHolds) {
  const std::string content = testing::noise(8192);
  folder.write("file", content);
  const Buffers buffers(4, 1U << 20U);
  auto queue = make_uring_queue();
  ASSERT_TRUE(queue);
  const std::size_t pinned = (*queue)->pin(buffers.at(0), buffers.whole());
  EXPECT_LE(pinned, buffers.whole());
  for (const std::size_t at : {0U, 3U}) {
    EXPECT_EQ(read_through(**queue, buffers.at(at), 8192), 8192);
    EXPECT_EQ(std::string(buffers.at(at), 8192), content);
  }
}

// Says by number what the kernel says to each handing over.
class Script final : public RingFaults {
 public:
  int submit(unsigned count) override { return on_submit ? on_submit(++submits, count) : static_cast<int>(count); }
  int wait() override { return wait_answer; }
  std::function<int(std::uint64_t nth, unsigned count)> on_submit;
  std::uint64_t submits = 0;
  int wait_answer = 0;
};

// Copies past the page cache, so that all goes through the ring.
class RingThatIsTold : public Ring {
 protected:
  void SetUp() override {
    Ring::SetUp();
    folder.write("from", content);
    Space space;
    const Fd probe(::open(folder.at("from").c_str(), O_RDONLY | O_CLOEXEC));
    if (real_fs().space(probe.get(), space) != 0 || !space.local_disk) GTEST_SKIP() << "no local disk here";
  }

  // Through a ring of its own; what it says of itself at the end.
  struct Copied {
    Status status;
    bool broken;
  };
  Copied copy() {
    script.submits = 0;
    auto queue = make_uring_queue(&script);
    if (!queue) return {fail(queue.error()), true};
    const Fd from(::open(folder.at("from").c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
    const Fd to(::open(folder.at("to").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600));
    CopyTask task;
    task.from = from.get();
    task.to = to.get();
    task.length = content.size();
    task.direct_from = task.direct_to = true;
    task.alignment = 4096;
    testing::QuietPace pace;
    Status status = copy_bytes(real_fs(), **queue, buffers, task, pace);
    EXPECT_EQ(pace.held, 0);
    EXPECT_EQ(::ftruncate(to.get(), static_cast<off_t>(content.size())), 0);
    return {std::move(status), (*queue)->broken()};
  }

  const std::string content = testing::noise(200'001);
  Script script;
  Buffers buffers{4, 16'384};
};

TEST_F(RingThatIsTold, AsksAgainWhateverItIsToldOnce) {
  for (const int error : {EINTR, EAGAIN, EBUSY}) {
    std::uint64_t at = 1;
    for (;; ++at) {
      script.on_submit = [&](std::uint64_t nth, unsigned count) {
        return nth == at ? -error : static_cast<int>(count);
      };
      const Copied copied = copy();
      ASSERT_TRUE(copied.status) << copied.status.error().message;
      ASSERT_FALSE(copied.broken) << error << " at " << at;
      ASSERT_TRUE(folder.read("to") == content) << error << " at " << at;
      if (script.submits < at) break;
    }
    EXPECT_GT(at, 5U);
  }
}

// As where the kernel has memory for one more and not for two.
TEST_F(RingThatIsTold, HandsOverTheRestWhereNotAllIsTaken) {
  for (const int take : {0, 1, 2}) {
    script.on_submit = [&](std::uint64_t nth, unsigned count) {
      return nth % 2 == 0 ? static_cast<int>(count) : std::min(take, static_cast<int>(count));
    };
    const Copied copied = copy();
    ASSERT_TRUE(copied.status) << copied.status.error().message;
    EXPECT_FALSE(copied.broken);
    EXPECT_TRUE(folder.read("to") == content) << take;
  }
}

TEST_F(RingThatIsTold, PlainCallsDoWhatIsNotTakenFromAnyPointOn) {
  for (const int error : {EPERM, EAGAIN}) {  // one for good, one until patience ends
    std::uint64_t at = 1;
    for (;; ++at) {
      script.on_submit = [&](std::uint64_t nth, unsigned count) {
        return nth >= at ? -error : static_cast<int>(count);
      };
      const Copied copied = copy();
      ASSERT_TRUE(copied.status) << copied.status.error().message;
      ASSERT_TRUE(folder.read("to") == content) << error << " from " << at << " on";
      ASSERT_EQ(copied.broken, script.submits >= at);
      if (script.submits < at) break;
    }
    EXPECT_GT(at, 5U);
  }
}

TEST_F(RingThatIsTold, ATransferGoesOnWithoutItAndTheNextHasAnother) {
  folder.write("large", testing::noise(5U << 20U));
  std::atomic<int> rings{0};
  Options options;
  options.threads = 1;
  options.owner = "test";
  script.on_submit = [](std::uint64_t nth, unsigned count) { return nth < 4 ? static_cast<int>(count) : -EPERM; };
  auto stager =
      Stager::open(options, real_fs(), "uring", [&] { return make_uring_queue(rings++ == 0 ? &script : nullptr); });
  ASSERT_TRUE(stager);
  for (const char* target : {"to", "to2"}) {
    const Outcome outcome = testing::stage_one(**stager, folder.at("large"), folder.at(target));
    ASSERT_EQ(outcome.state, State::done) << outcome.error->message;
    EXPECT_TRUE(folder.read(target) == testing::noise(5U << 20U));
  }
  EXPECT_EQ(rings, 2);
  EXPECT_EQ((*stager)->counters().fallbacks_ring, 1U);
}

// A pipe's read lasts until somebody writes.
class RingThatWaits : public Ring {
 protected:
  void SetUp() override {
    Ring::SetUp();
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reads = Fd(ends[0]);
    writes = Fd(ends[1]);
  }
  static std::atomic<int> caught;
  Fd reads, writes;
};
std::atomic<int> RingThatWaits::caught{0};

TEST_F(RingThatWaits, IsInterruptedAndWaitsOn) {
  struct sigaction catches {
  }, before{};
  catches.sa_handler = [](int) { ++caught; };  // and no SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &catches, &before), 0);
  caught = 0;
  std::atomic<bool> waits{false};
  char byte = 0;
  IoDone done;
  std::thread reader([&] {
    auto queue = make_uring_queue();
    (*queue)->push({IoOp::Kind::read, reads.get(), &byte, 1, 0, 7, true});
    waits = true;
    done = (*queue)->wait();
  });
  EXPECT_TRUE(testing::eventually([&] { return waits.load(); }));
  for (int i = 1; i <= 20; ++i) {
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    EXPECT_TRUE(testing::eventually([&] { return caught >= i; }));
  }
  EXPECT_EQ(::write(writes.get(), "x", 1), 1);
  reader.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(done.result, 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(RingThatWaits, WhatALostRingNeverAnswersIsGivenUpWithItsMemory) {
  folder.write("file", "bytes");
  const Fd file(::open(folder.at("file").c_str(), O_RDONLY | O_CLOEXEC));
  Script script;
  auto queue = make_uring_queue(&script);
  ASSERT_TRUE(queue);
  char byte = 0, other = 0;
  (*queue)->push({IoOp::Kind::read, reads.get(), &byte, 1, 0, 1, true});
  (*queue)->push({IoOp::Kind::read, file.get(), &other, 1, 0, 2, true});
  EXPECT_EQ((*queue)->wait().tag, 2U);
  script.wait_answer = -EPERM;
  const IoDone done = (*queue)->wait();
  EXPECT_EQ(done.tag, 1U);
  EXPECT_EQ(done.result, -ENOTRECOVERABLE);
  EXPECT_TRUE((*queue)->broken());
  EXPECT_TRUE((*queue)->holds_memory());
  (*queue)->push({IoOp::Kind::read, file.get(), &other, 1, 1, 3, true});
  EXPECT_EQ((*queue)->wait().result, 1) << "by a plain call";
  testing::QuietPace pace;
  const Buffers buffers{2, 4096};
  CopyTask task;
  task.from = file.get();
  task.length = 5;
  EXPECT_FALSE(copy_bytes(real_fs(), **queue, buffers, task, pace)) << "the memory is not used again";
  EXPECT_EQ(::write(writes.get(), "x", 1), 1);  // so that the kernel is done with it
}

// In a process of its own: root may lock any amount, and limits are the whole process's.
int read_with_little_to_lock(const std::string& path) {
  const struct rlimit little {
    1U << 20U, 1U << 20U
  };
  if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0) return 2;
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 3;
  const Buffers buffers(4, 1U << 20U);
  auto queue = make_uring_queue();
  if (!queue) return 4;
  if ((*queue)->pin(buffers.at(0), buffers.whole()) >= buffers.whole()) return 5;
  for (const std::size_t at : {0U, 3U}) {
    (*queue)->push({IoOp::Kind::read, file.get(), buffers.at(at), 4096, 0, 1, true});
    if ((*queue)->wait().result != 4096) return 6;
  }
  return 0;
}

TEST_F(Ring, ServesWhereLittleMemoryMayBeLocked) {
  const std::string path = folder.write("file", testing::noise(4096));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(read_with_little_to_lock(path));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

int count_with_little_to_lock(const std::string& from, const std::string& to) {
  if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 3;
  auto stager = testing::open_stager("uring");
  if (testing::stage_one(*stager, from, to).state != State::done) return 4;
  return testing::eventually([&] { return stager->counters().fallbacks_buffers == Options{}.threads; }) ? 0 : 5;
}

TEST_F(Ring, EachThreadWhoseMemoryIsNotHeldIsCounted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may lock any amount, to compare with";
  folder.write("from", testing::noise(3U << 20U));
  {
    const auto stager = testing::open_stager("uring");
    ASSERT_EQ(testing::stage_one(*stager, folder.at("from"), folder.at("to")).state, State::done);
    EXPECT_EQ(stager->counters().fallbacks_buffers, 0U);
  }
  ASSERT_EQ(::chown(folder.at("").c_str(), 65534, 65534), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const struct rlimit little {
      1U << 20U, 1U << 20U
    };
    if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0) ::_exit(2);
    ::_exit(count_with_little_to_lock(folder.at("from"), folder.at("other")));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace windlass::stage
