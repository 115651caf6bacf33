// The ring's own limits: what it may do, and how much memory it may hold.
#include "plugin/stage/uring_queue.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

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

}  // namespace
}  // namespace windlass::stage
