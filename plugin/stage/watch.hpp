// Where each I/O thread is inside of a file system at this moment, so that one that hangs can be told, and its disk.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <string>

#include "plugin/stage/around.hpp"

namespace windlass::stage {

// Written by its thread alone, read by any.
class Post {
 public:
  // `path`: beneath the descriptor, where it may lead to another file system; else null.
  void enter(int fd, const char* path = nullptr);
  void leave();

  struct Look {
    std::uint64_t moves = 0;  // differs whenever it has got on
    bool inside = false;
    int fd = -1;       // -1: of several
    std::string path;  // empty: the descriptor itself
  };
  [[nodiscard]] Look look() const;

 private:
  std::atomic<std::uint64_t> moves_{0};  // odd: inside
  std::atomic<int> fd_{-1};
  std::atomic<bool> has_path_{false};
  mutable std::mutex mutex_;
  std::string path_;
};

// As long as it lives, the post is the calling thread's.
class AtPost {
 public:
  explicit AtPost(Post& post);
  ~AtPost();
  AtPost(const AtPost&) = delete;
  AtPost& operator=(const AtPost&) = delete;
};

// Passes all on, and notes it at the calling thread's post where it has one.
class WatchedFs final : public AroundFs {
 public:
  using AroundFs::AroundFs;

 private:
  int before(const Where& where) override;
  void after(const Where& where) override;
};

// Likewise. Whoever waits for operations on one file alone is inside of that.
class WatchedQueue final : public AroundQueue {
 public:
  using AroundQueue::AroundQueue;
  void push(const IoOp& op) override;
  IoDone wait() override;

 private:
  struct Flying {
    std::uint32_t tag;
    int fd;
  };
  std::array<Flying, kIoInFlightMax> flying_{};
  unsigned count_ = 0;
};

}  // namespace windlass::stage
